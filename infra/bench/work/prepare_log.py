"""Make a Postgres log's tables: DSN PARTITIONS; with `leased`, wait until a worker holds every partition."""

import asyncio
import sys

import asyncpg

from streams.log.postgres import PostgresLog


async def main(dsn: str, partitions: int, *, leased: bool) -> None:
    """Open and close the log; then ask the leases."""
    log = PostgresLog(dsn, partitions=partitions)
    await log.open()
    await log.close()
    if leased:
        connection = await asyncpg.connect(dsn)
        async with asyncio.timeout(30):
            held = 0
            while held < partitions:
                await asyncio.sleep(0.05)  # a lease is taken by another process; nothing here is told
                held = await connection.fetchval("select count(*) from log.lease where worker is not null")
        await connection.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), leased=sys.argv[3:] == ["leased"]))
