"""Names of viewers over time, boards of open hours, audience snapshots."""

from typing import Any

import pytest

from projections import board, read
from projections.live import LiveProjection
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from tests.integration.projections.conftest import CatchUp
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, SaidLog, live_envelope, seal_of, viewers

DAY_S = 86_400


@pytest.fixture
def live(metrics: ProjectionMetrics) -> LiveProjection:
    return LiveProjection(PolicySchedule.of(DEFAULT_POLICY), metrics)


async def test_a_viewer_keeps_every_login_with_its_time_in_whatever_order_seals_come(
    db: Any, log: SaidLog, catch_up: CatchUp
) -> None:
    said = [
        seal_of(viewers(1), logins=["ann"], epoch_start_s=T0_S),
        seal_of(viewers(1), logins=["ann"], epoch_start_s=T0_S + 3 * DAY_S),
        seal_of(viewers(1), logins=["anna"], epoch_start_s=T0_S + 5 * DAY_S),
        seal_of(viewers(2), logins=["ann"], epoch_start_s=T0_S + 9 * DAY_S),
    ]
    await log.say(*said[::-1])
    await catch_up(NamesProjection())
    await log.say(*said)
    await catch_up(NamesProjection())
    spans = await read.viewer_logins(db, "twitch:id:1")
    assert [(one.login, one.first_seen_ms, one.last_seen_day) for one in spans] == [
        ("anna", (T0_S + 5 * DAY_S) * 1000 + 1000, "2025-10-14"),
        ("ann", T0_S * 1000 + 1000, "2025-10-12"),
    ]
    assert [one.identity for one in await read.identities_of_login(db, "ann")] == ["twitch:id:2", "twitch:id:1"]
    assert await db.fetchval("select identity from user_mapping where login = 'anna'") == "twitch:id:1"


async def test_one_step_takes_a_viewer_under_several_logins_and_several_viewers_under_one(
    db: Any, log: SaidLog, catch_up: CatchUp
) -> None:
    hours = [["ann", "bob"], ["anna", "ann"], ["ann", "bob"]]
    for hour, logins in enumerate(hours):
        await log.say(seal_of(viewers(1, 2), logins=logins, epoch_start_s=T0_S + hour * HOUR_S))
    await catch_up(NamesProjection())
    rows = await db.fetch("select viewer_key, login, first_seen_ms from viewer_logins order by viewer_key, login")
    first_ms = T0_S * 1000 + 1000
    assert [tuple(row) for row in rows] == [
        (1, "ann", first_ms),
        (1, "anna", first_ms + HOUR_S * 1000),
        (2, "ann", first_ms + HOUR_S * 1000),
        (2, "bob", first_ms),
    ]


async def test_what_is_remembered_ends_with_the_session(db: Any, log: SaidLog, catch_up: CatchUp) -> None:
    names = NamesProjection()
    await log.say(seal_of(viewers(1, 2)))
    await catch_up(names)
    await db.execute("delete from viewer_logins where viewer_key = 2")
    await log.say(seal_of(viewers(1, 2), epoch_start_s=T0_S + HOUR_S))
    await catch_up(names)
    assert len(await read.viewer_logins(db, "twitch:id:2")) == 1


async def test_a_board_counts_the_open_hour(
    db: Any, log: SaidLog, catch_up: CatchUp, live: LiveProjection, metrics: ProjectionMetrics
) -> None:
    await log.chat(live_envelope([(1, "ann"), (1, "ann"), (2, "bob"), (3, "nightbot")], seq=0, amount=7))
    await log.chat(live_envelope([(2, "bobby")], seq=1, kind=4, amount=50))
    await log.chat(live_envelope([(4, "mod")], seq=2, kind=6))
    await catch_up(live)
    [found] = await read.live_board(db, CHANNEL)
    assert (found.participants, found.messages, found.untracked_events) == (2, 3, 0)
    assert [(one.identity, one.login, one.messages, one.weight_centi) for one in found.top] == [
        ("twitch:id:2", "bobby", 1, 100 + 7 + 500),
        ("twitch:id:1", "ann", 2, 100 + 14),
    ]
    assert found.weight_centi == 721
    assert (found.login, found.observed_to_ms) == (LOGIN, T0_S * 1000 + 2000)


async def test_an_envelope_delivered_twice_counts_once_also_over_a_restart(
    db: Any, log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    first = live_envelope([(1, "ann")], seq=0)
    for _ in range(2):
        await log.chat(first)
        await catch_up(LiveProjection(PolicySchedule.of(DEFAULT_POLICY), metrics))
    await log.chat(live_envelope([(1, "ann")], seq=0, source="another collector"))
    await catch_up(LiveProjection(PolicySchedule.of(DEFAULT_POLICY), metrics))
    [found] = await read.live_board(db, CHANNEL)
    assert found.messages == 2


async def test_boards_of_hours_long_past_go_and_files_make_none(
    db: Any, log: SaidLog, catch_up: CatchUp, live: LiveProjection
) -> None:
    await log.chat(live_envelope([(1, "ann")], seq=0, observed=None, channel="twitch:id:9"))
    for hour in range(4):
        await log.chat(live_envelope([(1, "ann")], seq=hour, at_s=T0_S + hour * HOUR_S))
    await catch_up(live)
    assert [one.epoch_start_s for one in await read.live_board(db, CHANNEL)] == [T0_S + 3 * HOUR_S, T0_S + 2 * HOUR_S]
    assert [one.channel for one in await read.live_boards(db)] == [CHANNEL]


async def test_reading_starts_again_at_the_first_record_a_board_rests_on(
    db: Any, log: SaidLog, catch_up: CatchUp, live: LiveProjection
) -> None:
    for hour in range(5):
        await log.chat(live_envelope([(1, "ann")], seq=hour, at_s=T0_S + hour * HOUR_S))
    await catch_up(live)
    row = await db.fetchrow("select next_offset, resume_offset from projection_positions where partition = 0")
    assert tuple(row) == (5, 3)


async def test_a_crowd_beyond_the_bound_is_counted_in_sum(
    db: Any,
    log: SaidLog,
    catch_up: CatchUp,
    live: LiveProjection,
    metrics: ProjectionMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "MAX_TRACKED_VIEWERS", 2)
    await log.chat(live_envelope([(1, "a"), (2, "b"), (3, "c"), (4, "d"), (1, "a")], seq=0))
    await catch_up(live)
    [found] = await read.live_board(db, CHANNEL)
    assert (found.participants, found.untracked_events, found.messages) == (2, 2, 5)
    assert metrics.board_viewers_untracked._value.get() == 2
