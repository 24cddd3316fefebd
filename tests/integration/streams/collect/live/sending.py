"""A process that puts numbered records until it is killed, or COUNT of them: `sending DSN FOLDER SESSION COUNT`.

Prints, every 100 records, how many of this session's are on the log or on disk, so they must come to the log whatever
happens to the process from then on.
"""

import asyncio
import sys
from pathlib import Path

from streams.collect.live.counters import OutboundCounters
from streams.collect.live.outbound import LogOutbound
from streams.collect.live.spool import Spool
from streams.log.postgres import PostgresLog

CHANNELS = 7


async def main() -> None:
    """See above."""
    dsn, folder, session, count = sys.argv[1:]
    counters = OutboundCounters()
    spool = Spool(Path(folder), counters)
    spool.open()
    log = PostgresLog(dsn, partitions=2)
    await log.open()
    outbound = LogOutbound(log, spool, counters, answer_s=2.0, retry_s=0.05)
    sending = asyncio.create_task(outbound.run())
    for number in range(int(count)):
        channel, place = f"twitch:id:{number % CHANNELS}", number // CHANNELS
        assert outbound.put(channel, f"{session}|{number % CHANNELS}|{place}|".encode() + b"x" * 200, 1)
        if number % 100 == 99:
            print(counters.put_records - counters.queued_records, flush=True)
            await asyncio.sleep(0.01)
    await outbound.close(60.0)
    await sending
    spool.close()
    await log.close()


if __name__ == "__main__":
    asyncio.run(main())
