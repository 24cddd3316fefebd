"""An archive replayed by several processes leaves what one leaves, dead letters in their order too."""

from pathlib import Path

import numpy as np
import pytest

from schemas.columns import EventColumns
from schemas.envelope import encode, encode_reseal
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.log.archive import write_archive
from streams.log.port import LogRecord
from streams.replay.folding import FoldOptions
from streams.replay.output import DEAD, SEALS
from streams.replay.run import Replayed, replay

T0_MS = 1_760_086_800_000
CHANNELS = 7


def events(channel: int) -> EventColumns:
    n = 40 * (1 + channel)
    return EventColumns(
        [(f"twitch:id:{100 + viewer}", f"viewer_{viewer}") for viewer in range(n)],
        T0_MS + np.arange(n, dtype=np.int64) * 60_000,
        np.random.default_rng(channel).integers(0, 256, (n, 16), np.uint8),
        np.zeros(n, np.uint8),
        np.arange(n, dtype=np.uint32),
        np.zeros(n, np.uint32),
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    records: list[tuple[int, LogRecord]] = []
    for channel in range(CHANNELS):
        name, login = f"twitch:id:{10 + channel}", f"channel_{channel}"
        values = [
            encode("events", name, login, "test", 0, None, events(channel)),
            encode_reseal(name, login, "test", 1, T0_MS // 1000, 3600),  # not closed yet: a dead letter
            encode("end", name, login, "test", 2),
        ]
        for value in values:
            records.append((0, LogRecord(len(records), name.encode(), value, T0_MS)))
    write_archive(tmp_path / "archive", records)
    return tmp_path / "archive"


@pytest.mark.parametrize("jobs", [2, 3])
def test_jobs_leave_what_one_process_leaves(archive: Path, tmp_path: Path, jobs: int) -> None:
    def run(jobs: int) -> tuple[Replayed, bytes, bytes]:
        out = tmp_path / f"jobs-{jobs}"
        done = replay([str(archive)], out, FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, jobs=jobs))
        return done, (out / SEALS).read_bytes(), (out / DEAD).read_bytes()

    one = run(1)
    assert one[0].tally.malformed == CHANNELS == len(one[2].splitlines())
    assert run(jobs) == one
