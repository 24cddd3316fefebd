"""One file gives the same bytes by every way: replay in one process and in several, and `twzrd load` and `work` on
Postgres, on Kafka directly and with Faust. All through the command line, against the vectors of an independent program.
"""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pytest
from blake3 import blake3

from infra import compose
from infra.settings import load
from schemas.seal import decode_header
from tests.integration.matrix.rules import write_pepper
from tests.integration.matrix.said import Listener
from tests.integration.matrix.workers import PROJECT, TWZRD

PARTITIONS: Final = 4
WITHIN_S: Final = 200.0
FILES: Final = {
    "vectors/seals/kinds_400.irc": "acf714ce1a9e07f7d3343dec531bb6dd98a52d0503651a4df3a89fdafe57b826",
    "data/forsen_2023-06-02.irc": "78b223cd5486304da5708fa0ffa58be0447b220769374bb4ff44a257f6abfb51",
    "data/four_channels_2026-03_2026-04.irc.gz": "fbc2abccc1709b245e7207cf0a3f0849f5c0776f20da7695ca8d37171e6cdd1d",
}
"""With the digests of ../shared/vectors/README.md."""

Digests = dict[str, str]


@pytest.fixture
def environment(shared_dir: Path, tmp_path: Path) -> dict[str, str]:
    """The vectors' pepper and policy, as settings."""
    return {
        "TWZRD_HOME": str(tmp_path / "home"),
        "TWZRD_PEPPER_FILE": str(write_pepper(tmp_path)),
        "TWZRD_POLICY_FILE": str(shared_dir / "vectors/seals/policy.json"),
        "TWZRD_PARTITIONS": str(PARTITIONS),
        "TWZRD_LOG_LEVEL": "warning",
    }


def process_environment(ours: dict[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    return {**inherited, "PYTHONPATH": str(PROJECT), **ours}


def twzrd(environment: dict[str, str], *arguments: str) -> str:
    """Run a command to its end; its standard output."""
    done = subprocess.run(
        [*TWZRD, *arguments], cwd=PROJECT, env=process_environment(environment), capture_output=True, text=True
    )
    assert done.returncode == 0, f"twzrd {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def digest_of(hashes: list[bytes]) -> str:
    return blake3(b"".join(sorted(hashes))).hexdigest()


def vector_channels(shared_dir: Path) -> dict[str, str]:
    """channel -> the file it is in; no channel is in two."""
    found: dict[str, str] = {}
    for file in FILES:
        name = Path(file).name.split(".")[0]
        for line in (shared_dir / f"vectors/seals/{name}.seals.jsonl").read_text().splitlines():
            found[json.loads(line)["channel"]] = file
    return found


@pytest.mark.parametrize("jobs", [1, 3])
def test_replay_gives_the_vectors_digests(
    jobs: int, environment: dict[str, str], shared_dir: Path, tmp_path: Path
) -> None:
    for file, digest in FILES.items():
        out = tmp_path / Path(file).name
        given = ["--pepper-file", environment["TWZRD_PEPPER_FILE"], "--policy", environment["TWZRD_POLICY_FILE"]]
        told = twzrd(
            environment, "replay", str(shared_dir / file), "--out", str(out), "--jobs", str(jobs), *given, "--json"
        )
        assert json.loads(told)["digest"] == digest


def start_worker(environment: dict[str, str], log_file: Path) -> subprocess.Popen[bytes]:
    with log_file.open("wb") as log:
        command = [*TWZRD, "work", "--web-port", "0"]
        return subprocess.Popen(command, cwd=PROJECT, env=process_environment(environment), stdout=log, stderr=log)


async def loaded_and_worked(environment: dict[str, str], shared_dir: Path, tmp_path: Path) -> Digests:
    """`twzrd load` all files, `twzrd work` until all is sealed; the digest of each file's channels."""
    file_of = vector_channels(shared_dir)
    wanted = sum(
        len((shared_dir / f"vectors/seals/{Path(file).name.split('.')[0]}.seals.jsonl").read_text().splitlines())
        for file in FILES
    )
    await asyncio.to_thread(twzrd, environment, "load", *(str(shared_dir / file) for file in FILES))
    worker = start_worker(environment, tmp_path / "worker.log")
    try:
        async with compose.open_log(load(environ=environment)) as log, asyncio.timeout(WITHIN_S):
            listener = Listener(log, PARTITIONS)
            while len(listener.said.seals) < wanted:
                assert worker.poll() is None, (tmp_path / "worker.log").read_text()[-4000:]
                if not await listener.catch_up():
                    await asyncio.sleep(0.2)
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, 40) == 0, (tmp_path / "worker.log").read_text()[-4000:]
            await listener.catch_up()
    finally:
        worker.kill()
        worker.wait()
    hashes: dict[str, list[bytes]] = {file: [] for file in FILES}
    for (channel, _, revision), headers in listener.said.seals.items():
        assert revision == 0
        hashes[file_of[channel]] += [decode_header(header).hash() for header in headers]
    assert not listener.said.late
    return {file: digest_of(found) for file, found in hashes.items()}


@pytest.mark.postgres
@pytest.mark.slow
async def test_the_runner_on_postgres_gives_the_vectors_digests(
    environment: dict[str, str], shared_dir: Path, tmp_path: Path
) -> None:
    assert await loaded_and_worked({**environment, "TWZRD_LOG": "postgres"}, shared_dir, tmp_path) == FILES


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["direct", "faust"])
async def test_both_engines_on_kafka_give_the_vectors_digests(
    engine: str, environment: dict[str, str], shared_dir: Path, tmp_path: Path, kafka_broker: str, kafka_prefix: str
) -> None:
    chosen = {"TWZRD_LOG": "kafka", "TWZRD_ENGINE": engine, "TWZRD_KAFKA_BOOTSTRAP": kafka_broker}
    chosen["TWZRD_TOPIC_PREFIX"] = kafka_prefix
    assert await loaded_and_worked({**environment, **chosen}, shared_dir, tmp_path) == FILES
