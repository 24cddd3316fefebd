"""The broker's jars: from Maven Central, once, into a cache; before the broker is started.

In: pom.xml, and jars.sha256 that names every file with its hash. Out: a directory with exactly those files. A jar that
differs is refused, so what runs is what was tried. `python -m infra.kafka.jars` does only this.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.kafka.errors import KafkaUnavailable
from schemas.errors import TwzrdError

KAFKA_VERSION = "4.3.1"
JAVA_MINIMUM = 17
DOWNLOAD_TIMEOUT_S = 600.0
_HERE = Path(__file__).parent


def java() -> str:
    """Path of a Java that runs the broker. Raises KafkaUnavailable without one of version 17 or newer."""
    mend = "on Debian and Ubuntu: apt-get install openjdk-17-jre-headless"
    candidate = shutil.which("java")
    if candidate is None:
        raise KafkaUnavailable(f"the development broker needs Java {JAVA_MINIMUM} or newer, none in PATH; {mend}")
    shown = subprocess.run([candidate, "-version"], capture_output=True, text=True, timeout=60, check=False)
    first = (shown.stderr + shown.stdout).partition('"')[2].partition('"')[0]
    major = first.partition(".")[0]
    if not major.isdigit() or int(major) < JAVA_MINIMUM:
        raise KafkaUnavailable(f"{candidate} is Java {first or '?'}, the broker needs {JAVA_MINIMUM} or newer; {mend}")
    return candidate


def ensure_jars(cache_dir: Path) -> Path:
    """The directory of the broker's jars under `cache_dir`; downloads them (44 MB) when they are not there yet.

    Safe to call from several processes. Raises KafkaUnavailable without Maven or network, or for a jar that differs.
    """
    target = cache_dir / "kafka" / KAFKA_VERSION
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        unfinished = Path(tempfile.mkdtemp(prefix=".download-", dir=target.parent))
        try:
            _download(unfinished)
            _check(unfinished)
            unfinished.rename(target)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _download(folder: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Maven (mvn) fetches the broker, but is not in PATH; on Debian: apt-get install maven")
    # A copy: Maven may write beside the pom, and the package's own folder may be read-only.
    pom = Path(shutil.copy(_HERE / "pom.xml", folder))
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            [maven, "-B", "-q", "-f", str(pom), *goal],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        message = f"fetching the broker took longer than {DOWNLOAD_TIMEOUT_S:.0f} s; is Maven Central up?"
        raise KafkaUnavailable(message) from None
    pom.unlink()
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise KafkaUnavailable(
            f"Maven could not fetch the broker; is the network there, and its proxy in ~/.m2?\n{tail}"
        )


def _check(folder: Path) -> None:
    expected = {
        name: digest for digest, name in (line.split() for line in (_HERE / "jars.sha256").read_text().splitlines())
    }
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.jar")}
    if found != expected:
        odd = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise KafkaUnavailable(f"the broker's jars are not those of jars.sha256: {', '.join(odd[:5])}; do not run them")


if __name__ == "__main__":
    from infra.settings import default_cache_dir

    try:
        print(ensure_jars(default_cache_dir()))
    except TwzrdError as error:
        sys.exit(f"twzrd: {error}")
