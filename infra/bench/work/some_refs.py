"""Print the viewer refs of the only sealed epoch of a database: DSN."""

import asyncio
import sys

from schemas.parts import SealAssembler
from schemas.sealed import SealedEpoch, decode_record
from schemas.streams import EPOCH_SEALED
from streams.log.postgres import PostgresLog

PARTITIONS = 8


async def main(dsn: str) -> None:
    """Every ref as hex, one a line."""
    log = PostgresLog(dsn, partitions=PARTITIONS)
    await log.open()
    joined = SealAssembler()
    for partition in range(PARTITIONS):
        at, end = await log.span(EPOCH_SEALED, partition)
        while at < end:
            for record in await log.read(EPOCH_SEALED, partition, at):
                found = joined.feed(decode_record(record.value))
                if isinstance(found, SealedEpoch):
                    print("\n".join(row.tobytes().hex() for row in found.body.refs))
                at = record.offset + 1
    await log.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
