"""Same bytes from log and from archive: a partition folded again gives every revision that was sealed live."""

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.log.archive import write_archive
from streams.log.port import LogRecord
from streams.replay.archived import ArchiveFold
from streams.replay.tally import Tally
from tests import logs
from tests.logs import PEPPER, SCHEDULE, run_through


@settings(max_examples=30)
@given(st.lists(logs.any_records(), min_size=1, max_size=20), st.integers(0, 20))
def test_the_archive_gives_the_same_seals_as_the_log(log: list[bytes], cut: int) -> None:
    live = run_through(log)
    records = [
        (0, LogRecord(offset, msgspec.msgpack.decode(value)[2].encode(), value, logs.T0))
        for offset, value in enumerate(log)
    ]
    with tempfile.TemporaryDirectory() as name:
        for piece in (records[:cut], records[cut:]):
            if piece:
                write_archive(Path(name), piece)
        tally = Tally()
        made = list(ArchiveFold([Path(name)], SCHEDULE, PEPPER, tally, lambda letter: None).seals())
    assert sorted(sealed.header.encode() for sealed in made) == sorted(
        sealed.header.encode() for sealed in live.seals().values()
    )
    assert tally.late == sum(live.late().values())
