"""A collector's front and back half on a local Twitch: how long it takes to be in its channels, what it then weighs.

join_channels ADDRESS AUTHORITY CHANNELS (paced | unpaced) EVENTS: joins them all (unpaced: without Twitch's limit of
JOINs), listens until it has had so many events, prints joined_s=, events= and pss_mb=
(proportional set size). The log is a stub.
"""

import asyncio
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import uvloop

from infra.bench.work.collect import StubLog
from streams.collect.live.connection import Endpoint
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.roster import Roster
from streams.collect.live.running import collecting
from streams.collect.live.tls import client_context
from streams.collect.simulation.people import channel_login
from streams.log.port import Log

DEADLINE_S: Final = 120.0
LOOK_S: Final = 0.02


def pss_mb() -> float:
    """What this process weighs now."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def main() -> None:
    """See above."""
    address, authority, channels, pace, events = sys.argv[1:]
    host, _, port = address.rpartition(":")
    wanted = frozenset(channel_login(number) for number in range(int(channels)))
    metrics, chance = CollectMetrics(), random.Random(1)
    log: Log = StubLog()  # type: ignore[assignment]  # it only appends
    with tempfile.TemporaryDirectory(prefix="twzrd-bench-collect-") as folder:
        async with collecting(log, Path(folder)) as back:
            endpoint = Endpoint(host, int(port), client_context(Path(authority)))
            pool = Pool(endpoint, back.intake, metrics, chance=chance, clock_ms=back.clock_ms)
            reconciler = Reconciler(
                Roster(pool, back.intake, metrics, chance=chance, clock_ms=back.clock_ms),
                Pacing() if pace == "paced" else Pacing(1_000, 0.5),
            )
            pool.attach(reconciler)
            running = asyncio.create_task(reconciler.run())
            began_s = time.perf_counter()
            reconciler.want(wanted)
            async with asyncio.timeout(DEADLINE_S):
                while reconciler.levels().joined < len(wanted):  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(LOOK_S)
                joined_s = time.perf_counter() - began_s
                while back.intake.counters.events < int(events):  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)
            known = sum(1 for _ in back.intake.channels.all())
            print(
                f"joined_s={joined_s:.2f} channels={known} events={back.intake.counters.events} "
                f"pss_mb={pss_mb():.2f} connections={reconciler.levels().connections}"
            )
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            reconciler.want(frozenset())
            await pool.close()


if __name__ == "__main__":
    uvloop.run(main())
