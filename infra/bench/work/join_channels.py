"""A collector's front and back half on a local Twitch: how long it takes to be in its channels, what it then weighs.

join_channels ADDRESS AUTHORITY CHANNELS (paced | unpaced) EVENTS: joins them all (unpaced: without Twitch's limit of
JOINs), listens until it has had so many events, prints joined_s=, events=, pss_mb= (proportional set size) and anon_mb=
(what of it is no file). The log is a stub that keeps nothing; what else a real collector holds of channels is there:
its view of the control stream, which holds a wish and a room id of each as another collector reported it, and its own
state reports.
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
from schemas import control as records
from streams.collect.live.connection import Endpoint
from streams.collect.live.control import ControlView
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import Pacing
from streams.collect.live.pool import Pool
from streams.collect.live.reconciler import Reconciler
from streams.collect.live.reports import StateReports
from streams.collect.live.roster import Roster
from streams.collect.live.running import collecting
from streams.collect.live.tls import client_context
from streams.collect.simulation.people import channel_login, room_id
from streams.log.port import Log

DEADLINE_S: Final = 120.0
LOOK_S: Final = 0.02


def weight_mb(what: str) -> float:
    """What this process weighs now. Pss: all of it; Pss_Anon: its own memory, without files, whose share in the weight
    changes with what else runs on the machine."""
    found = re.search(rf"^{what}:\s+(\d+) kB", Path("/proc/self/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def control_view(log: Log, channels: int) -> ControlView:
    """As a collector finds it that is started again: channels wanted, and their states as it reported them before."""
    view, now_ms, v = ControlView(log), time.time_ns() // 1_000_000, records.VERSION
    for number in range(channels):
        login, room = channel_login(number), str(room_id(number))
        wish = records.Wanted(v, login, None, "operator", "operator", now_ms, "")
        tried = [records.Attempt(now_ms, "JOIN", "confirmed on connection 1")]
        state = records.ChannelState(v, login, room, "bench", "joined", "", now_ms, now_ms, tried)
        for record in (wish, state):
            view.sets.feed(records.encode(record))
    return view


async def main() -> None:
    """See above."""
    address, authority, channels, pace, events = sys.argv[1:]
    host, _, port = address.rpartition(":")
    metrics, chance = CollectMetrics(), random.Random(1)
    log: Log = StubLog()  # type: ignore[assignment]  # it only appends
    view, reports = control_view(log, int(channels)), StateReports(log, "bench")
    wanted = view.sets.wanted()
    reporting = asyncio.create_task(reports.run())
    with tempfile.TemporaryDirectory(prefix="twzrd-bench-collect-") as folder:
        async with collecting(log, Path(folder), view) as back:
            endpoint = Endpoint(host, int(port), client_context(Path(authority)))
            pool = Pool(endpoint, back.intake, metrics, chance=chance, clock_ms=back.clock_ms)
            reconciler = Reconciler(
                Roster(
                    pool,
                    back.intake,
                    metrics,
                    reports=reports,
                    room_id_of=view.sets.room_ids.get,
                    chance=chance,
                    clock_ms=back.clock_ms,
                ),
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
                f"pss_mb={weight_mb('Pss'):.2f} anon_mb={weight_mb('Pss_Anon'):.2f} "
                f"connections={reconciler.levels().connections}"
            )
            running.cancel()
            reporting.cancel()
            await asyncio.gather(running, reporting, return_exceptions=True)
            reconciler.want(frozenset())
            await pool.close()


if __name__ == "__main__":
    uvloop.run(main())
