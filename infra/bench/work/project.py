"""Project everything that epoch.sealed of one database holds: DSN NATIVE_CODE_FOLDER. The clock runs over the catching
up of all."""

import asyncio
import sys
import time
from pathlib import Path

import asyncpg
from prometheus_client import CollectorRegistry

from infra import databases
from infra.projecting import all_projections
from infra.settings import Settings
from projections.metrics import ProjectionMetrics
from projections.runner import ProjectionRunner, connector
from streams.core import hashing
from streams.log.port import EPOCH_SEALED
from streams.log.postgres import PostgresLog
from streams.replay.heap import keep_heap

PARTITIONS = 8


async def main(dsn: str, native: Path) -> None:
    """Both projections of seals at once, as `twzrd project` runs them."""
    hashing.enable_fast(native)
    keep_heap()
    await databases.migrate(dsn)
    log = PostgresLog(dsn, partitions=PARTITIONS)
    await log.open()
    metrics = ProjectionMetrics(CollectorRegistry())
    ours = [one for one in all_projections(Settings(), metrics) if one.stream == EPOCH_SEALED]
    start_s = time.perf_counter()
    await asyncio.gather(*(ProjectionRunner(log, one, connector(dsn), metrics).catch_up() for one in ours))
    taken_s = time.perf_counter() - start_s
    await log.close()
    connection = await asyncpg.connect(dsn)
    row = await connection.fetchrow("select count(*) as epochs, sum(leaf_count) as participants from sealed_epochs")
    await connection.close()
    print(f"RESULT taken_s={taken_s:.3f} epochs={row['epochs']} participants={row['participants']}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
