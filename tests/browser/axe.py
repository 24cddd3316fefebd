"""axe-core, which looks for what keeps people out: fetched once by npm into the cache, and refused if it differs.

640 KB that only tests need, so they are not in the repository. In: a cache folder. Out: the script's text.
"""

import fcntl
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Final

VERSION: Final = "4.14.1"
MEMBER: Final = "package/axe.min.js"
SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
TIMEOUT_S: Final = 120.0


class AxeUnavailable(Exception):
    """It cannot be had; the message says why."""


def axe_script(cache_dir: Path) -> str:
    """The text of axe.min.js. Safe to call from several processes. Raises AxeUnavailable."""
    target = cache_dir / "axe-core" / f"axe-{VERSION}.min.js"
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target.parent / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            script = _fetched()
            unfinished = target.with_suffix(".part")
            unfinished.write_bytes(script)
            unfinished.rename(target)
    script = target.read_bytes()
    if hashlib.sha256(script).hexdigest() != SHA256:
        raise AxeUnavailable(f"{target} is not axe-core {VERSION}; remove it")
    return script.decode()


def _fetched() -> bytes:
    npm = shutil.which("npm")
    if npm is None:
        raise AxeUnavailable("npm fetches axe-core, but is not in PATH; on Debian and Ubuntu: apt-get install npm")
    with tempfile.TemporaryDirectory() as folder:
        pack = [npm, "pack", "--silent", f"axe-core@{VERSION}"]
        try:
            done = subprocess.run(pack, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            raise AxeUnavailable(f"npm pack took longer than {TIMEOUT_S:.0f} s; is the registry up?") from None
        if done.returncode != 0:
            raise AxeUnavailable(f"npm could not fetch axe-core: {done.stderr.strip()[-500:]}")
        (archive,) = Path(folder).glob("axe-core-*.tgz")
        with tarfile.open(archive) as packed:
            member = packed.extractfile(MEMBER)
            assert member is not None
            script = member.read()
    if hashlib.sha256(script).hexdigest() != SHA256:
        raise AxeUnavailable(f"what npm fetched is not axe-core {VERSION}; do not run it")
    return script
