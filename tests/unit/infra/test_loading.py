"""An archive loaded onto an empty log: the same records in the same order, and so the same seals."""

from pathlib import Path

import pytest

from infra.loading import Loader
from schemas.streams import CHAT_EVENTS, DEAD
from streams.collect.files.formats import ReadOptions
from streams.log.archive import write_archive
from streams.log.port import LogRecord
from tests.archive_records import mixed_log
from tests.memory_log import MemoryLog

PARTITIONS = 2


def by_key(records: list[LogRecord]) -> dict[bytes | None, list[bytes]]:
    found: dict[bytes | None, list[bytes]] = {}
    for record in records:
        found.setdefault(record.key, []).append(record.value)
    return found


def files_of(archive: Path) -> list[Path]:
    return sorted(archive.rglob("*.parquet"))


async def loaded(sources: list[Path]) -> tuple[Loader, MemoryLog]:
    log = MemoryLog(partitions=PARTITIONS)
    await log.open()
    loader = Loader(log, ReadOptions(None, None, "UTC"), 1)
    await loader.load([str(source) for source in sources], end=True)
    return loader, log


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_an_archive_brings_a_lost_log_back(tmp_path: Path, seed: int, one_by_one: bool) -> None:
    pairs = mixed_log(seed)
    for piece in (pairs[:30], pairs[20:]):  # a killed archiver has written some of them twice
        write_archive(tmp_path, piece)
    sources = files_of(tmp_path)[::-1] if one_by_one else [tmp_path]
    loader, log = await loaded(sources)
    found = [record for partition in range(PARTITIONS) for record in log.records(CHAT_EVENTS, partition)]
    was = sorted(pairs, key=lambda pair: (pair[0], pair[1].offset))
    assert by_key(found) == by_key([record for _, record in was])
    assert (loader.done.tally.records, loader.done.tally.failed_inputs) == (len(pairs), [])


async def test_a_damaged_file_and_a_foreign_folder_are_named_and_the_rest_is_loaded(tmp_path: Path, seed: int) -> None:
    archive, foreign = tmp_path / "archive", tmp_path / "foreign"
    foreign.mkdir()
    pairs = mixed_log(seed)
    write_archive(archive, pairs)
    damaged = files_of(archive)[0]
    damaged.write_bytes(b"junk")
    loader, log = await loaded([archive, foreign])
    told = loader.done.tally.failed_inputs
    assert [str(foreign) in told[0], str(damaged) in told[1]] == [True, True]
    assert len(log.records(DEAD)) == len(told) == 2
    assert 0 < loader.done.tally.records < len(pairs)
