"""The archiver as a process of its own over a real log, killed again and again: the archive holds the log."""

import asyncio
import random
import sys
from pathlib import Path

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.archive import read_records
from streams.log.archive.archiver import Archiver
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.port import Append, Log, LogRecord
from streams.log.postgres import PostgresLog
from tests.archive_records import mixed_log

PARTITIONS = 2
ARCHIVE = """
import asyncio, sys
from pathlib import Path
from streams.log.archive.archiver import Archiver
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.postgres import PostgresLog

async def main(kind, where, prefix, root):
    log = PostgresLog(where, partitions=2) if kind == "postgres" else KafkaLog(KafkaSettings(where, 2, prefix))
    await log.open()
    keeper = Archiver(log, Path(root), flush_records=7)
    while True:
        await keeper.step(wait_ms=50)
        print(keeper.records_total, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


async def whole(log: Log) -> list[tuple[int, LogRecord]]:
    found = []
    for partition in range(PARTITIONS):
        start, end = await log.span(CHAT_EVENTS, partition)
        while start < end:
            records = await log.read(CHAT_EVENTS, partition, start)
            found += [(partition, record) for record in records]
            start = records[-1].offset + 1
    return found


async def killed_archiver(log: Log, arguments: list[str], root: Path, seed: int) -> None:
    rng = random.Random(seed)
    for life in range(6):
        records = [made for _, made in mixed_log(seed + life)]
        await log.append(CHAT_EVENTS, [Append(None, record.key, record.value) for record in records])
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", ARCHIVE, *arguments, str(root), stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(rng.randrange(1, 8)):
            assert await child.stdout.readline(), "the archiver ended by itself"
        child.kill()
        await child.wait()
    keeper = Archiver(log, root)
    while await keeper.step():
        pass
    await keeper.flush()
    expected = await whole(log)
    assert len(expected) == 6 * 60
    assert sorted(await asyncio.to_thread(lambda: list(read_records(root)))) == expected


@pytest.mark.postgres
@pytest.mark.slow
async def test_killed_over_postgres_nothing_is_lost_or_doubled(pg_dsn: str, tmp_path: Path, seed: int) -> None:
    log = PostgresLog(pg_dsn, partitions=PARTITIONS)
    await log.open()
    await killed_archiver(log, ["postgres", pg_dsn, ""], tmp_path / "archive", seed)
    await log.close()


@pytest.mark.kafka
@pytest.mark.slow
async def test_killed_over_kafka_nothing_is_lost_or_doubled(
    kafka_broker: str, kafka_prefix: str, tmp_path: Path, seed: int
) -> None:
    log = KafkaLog(KafkaSettings(kafka_broker, PARTITIONS, kafka_prefix))
    await log.open()
    await killed_archiver(log, ["kafka", kafka_broker, kafka_prefix], tmp_path / "archive", seed)
    await log.close()
