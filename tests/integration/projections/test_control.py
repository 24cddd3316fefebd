"""Opt-outs and audiences, from the control stream into their tables."""

from typing import Any

import pytest

from projections.control import ControlProjection
from projections.errors import RebuildDiffers
from projections.metrics import ProjectionMetrics
from projections.rebuild import rebuild
from projections.runner import Connect, ProjectionRunner
from schemas import control
from streams.collect.live.control import say
from streams.log.port import CONTROL, Append, Log
from streams.log.postgres import PostgresLog
from tests.integration.projections.conftest import CatchUp
from tests.seals import SaidLog

T = 1_767_225_600_000


def optout(viewer: str, at_ms: int = T, note: str = "") -> control.OptOut:
    return control.OptOut(1, viewer, "ann", at_ms, note)


def optin(viewer: str, at_ms: int = T) -> control.OptIn:
    return control.OptIn(1, viewer, "ann", at_ms, "")


async def test_the_list_holds_who_is_opted_out_and_the_log_every_change(db: Any, log: Log, catch_up: CatchUp) -> None:
    await say(log, optout("twitch:id:7", note="by mail"), optout("twitch:login:bob"), optout("twitch:id:9"))
    await catch_up(ControlProjection())
    await say(log, optin("twitch:login:bob", T + 1), optout("twitch:id:7", T + 2, "again"))
    await catch_up(ControlProjection())
    listed = await db.fetch("select viewer, since_ms, said_by, note from suppression_list order by viewer")
    assert listed == [("twitch:id:7", T + 2, "ann", "again"), ("twitch:id:9", T, "ann", "")]
    logged = await db.fetch("select viewer, suppressed, at_ms from suppression_log order by control_offset")
    assert logged == [
        ("twitch:id:7", True, T),
        ("twitch:login:bob", True, T),
        ("twitch:id:9", True, T),
        ("twitch:login:bob", False, T + 1),
        ("twitch:id:7", True, T + 2),
    ]


async def test_snapshots_are_kept_once_with_what_was_on(db: Any, log: Log, catch_up: CatchUp) -> None:
    first = control.Snapshot(1, "twitch:id:1", "chan0", T, 25, "a \x1b[31mtitle", "Chess", T - 5)
    again = control.Snapshot(1, "twitch:id:1", "chan0", T, 99, "", "", None)
    later = control.Snapshot(1, "twitch:id:1", "chan0", T + 300_000, 30, "", "", None)
    await say(log, first, again, later)
    await catch_up(ControlProjection())
    rows = await db.fetch("select viewers, title, game, started_at_ms from viewer_snapshots order by at_ms")
    assert rows == [(25, "a \x1b[31mtitle", "Chess", T - 5), (30, "", "", None)]


async def test_a_record_that_does_not_decode_is_an_alarm_and_stops_nothing(
    db: Any, log: Log, catch_up: CatchUp
) -> None:
    await log.append(CONTROL, [Append(None, b"x", b"\xc1")])
    await say(log, optout("twitch:id:7"))
    await catch_up(ControlProjection())
    assert await db.fetchval("select count(*) from suppression_list") == 1
    assert await db.fetchval("select kind || ' ' || subject from alarms") == "undecodable_record control/0/0"


async def test_a_rebuild_from_the_compacted_stream_gives_the_same_list_and_leaves_the_history(
    db: Any, pg_dsn: str, connect: Connect, metrics: ProjectionMetrics
) -> None:
    log = PostgresLog(pg_dsn, partitions=2)
    await log.open()
    try:
        await say(log, optout("twitch:id:7"), optout("twitch:id:8"), optin("twitch:id:8"), optout("twitch:id:7", T + 1))
        await ProjectionRunner(log, ControlProjection(), connect, metrics).catch_up()
        assert await log.compact(CONTROL, keep_ms=0) == 2
        await rebuild(log, ControlProjection(), connect, metrics)
    finally:
        await log.close()
    assert await db.fetch("select viewer, since_ms from suppression_list") == [("twitch:id:7", T + 1)]
    assert await db.fetchval("select count(*) from suppression_log") == 4


async def test_a_rebuild_goes_over_what_compaction_took_out_right_before_its_end(
    db: Any, connect: Connect, metrics: ProjectionMetrics
) -> None:
    """Kafka compacts on: the records that the position stands behind may be gone when a newer one of their key came."""
    log = SaidLog()
    await say(log, optout("twitch:id:7"), optout("twitch:id:8"))
    await ProjectionRunner(log, ControlProjection(), connect, metrics).catch_up()
    compacted = SaidLog()
    compacted.put(CONTROL, 0, log.records(CONTROL)[0])
    compacted.leave_gap(CONTROL, 0)
    await say(compacted, optout("twitch:id:8"))
    with pytest.raises(RebuildDiffers, match="twitch:id:8"):
        await rebuild(compacted, ControlProjection(), connect, metrics)
    await ProjectionRunner(compacted, ControlProjection(), connect, metrics).catch_up()
    await rebuild(compacted, ControlProjection(), connect, metrics)
    assert await db.fetchval("select count(*) from suppression_list") == 2
