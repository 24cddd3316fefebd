"""`twzrd load` retried: whatever it was killed at, and however often it is started again, the seals are a replay's."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_pipeline import PATIENCE_S, running, seal_digest

FOUR_CHANNELS_DIGEST = "fbc2abccc1709b245e7207cf0a3f0849f5c0776f20da7695ca8d37171e6cdd1d"

pytestmark = pytest.mark.postgres

DYING = """
import os, signal, sys
from infra import loading
from infra.cli import main

whole, left = loading.Loader._flush, int(sys.argv.pop(1))

async def dying(self):
    global left
    left -= 1
    if left < 0:
        await self._sending[0]
        os.kill(os.getpid(), signal.SIGKILL)
    await whole(self)

loading.Loader._flush = dying
main()
"""


def test_a_load_killed_half_way_and_started_again_seals_what_a_replay_seals(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path
) -> None:
    log = shared_dir / "data/four_channels_2026-03_2026-04.irc.gz"
    environment = {
        "TWZRD_PEPPER_FILE": str(pepper_file),
        "TWZRD_POLICY_FILE": str(shared_dir / "vectors/seals/policy.json"),
        "TWZRD_PARTITIONS": "2",
    }
    with running(tmp_path, environment, "up", "--port", "0"):
        twzrd("log", "spans", **environment)  # the server is up
        for appends in (1, 2, 3):
            dying = [sys.executable, "-c", DYING, str(appends), "--home", str(tmp_path / "home"), "load", str(log)]
            assert subprocess.run(dying, env={**environment, "PATH": ""}, check=False).returncode == -9
        spans = [json.loads(line) for line in twzrd("log", "spans", "--json", **environment).out.splitlines()]
        assert sum(span["next"] for span in spans if span["stream"] == "chat.events") > 500
        assert twzrd("export", "seals", **environment).out == ""  # nothing ended, so nothing is sealed
        told = twzrd("load", log, "--json", **environment).json
        assert (told["lines"], told["events"]) == (189_408, 189_408)
        deadline = time.monotonic() + PATIENCE_S
        while len((exported := twzrd("export", "seals", **environment)).out.splitlines()) < 474:
            assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
        assert seal_digest(exported) == FOUR_CHANNELS_DIGEST

        # Inputs that cannot be read, or not to their end, are named, and the others are loaded.
        (tmp_path / "folder").mkdir()
        torn = tmp_path / "torn.irc.gz"
        torn.write_bytes(log.read_bytes()[:50_000])
        kinds = shared_dir / "vectors/seals/kinds_400.irc"
        told = twzrd("load", tmp_path / "folder", torn, kinds, "--json", code=1, **environment).json
        folder_failed, torn_failed = told["failed_inputs"]
        assert folder_failed.startswith(f"{tmp_path / 'folder'} holds no files of the archive")
        assert torn_failed.startswith(f"{torn} line ")
        passed_over = told["shared_chat_copies"] + told["ignored_commands"]
        assert told["lines"] == told["events"] + told["malformed"] + passed_over
        assert (told["malformed"], passed_over) == (1, 17)
        while len((exported := twzrd("export", "seals", **environment)).out.splitlines()) < 481:
            assert time.monotonic() < deadline, (tmp_path / "up.log").read_text()
    dead = [json.loads(line) for line in twzrd("log", "cat", "dead", **environment).out.splitlines()]
    assert len(dead) == 2
    # What was loaded twice came late the second time: no seal of it has changed.
    assert len({(one["channel"], one["epoch_start_s"]) for one in map(json.loads, exported.out.splitlines())}) == 481
