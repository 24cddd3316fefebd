"""A session stands on its tables and on the log that its position names, and says at once what is wrong with them."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from projections import read
from projections.errors import ProjectionError
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.port import Projection
from projections.runner import Connect, ProjectionRunner
from projections.sealed import SealedProjection
from streams.log.port import EPOCH_SEALED, Append
from tests.integration.projections.conftest import CatchUp
from tests.integration.projections.test_rebuild import Shouts
from tests.seals import HOUR_S, T0_S, SaidLog, seal_of, viewers


async def test_a_projection_of_ones_own_makes_its_tables_at_its_first_start(
    db: Any, log: SaidLog, catch_up: CatchUp
) -> None:
    await log.say(seal_of(viewers(1)))
    await catch_up(Shouts())
    await log.say(seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    await catch_up(Shouts())
    assert await db.fetchval("select count(*) from shouts") == 2


async def test_tables_that_are_gone_with_what_they_held_are_not_made_anew_in_silence(
    db: Any, log: SaidLog, catch_up: CatchUp
) -> None:
    await log.say(seal_of(viewers(1)))
    await catch_up(Shouts())
    await Shouts().drop(db)
    with pytest.raises(ProjectionError, match=r"shouts.*projection_positions"):
        await catch_up(Shouts())
    await db.execute("delete from projection_positions where projection = 'shouts'")
    await catch_up(Shouts())
    assert await db.fetchval("select count(*) from shouts") == 1


@pytest.mark.parametrize("make", [lambda metrics: SealedProjection(metrics), lambda metrics: NamesProjection()])
async def test_another_log_than_the_one_that_was_applied_is_refused(
    connect: Connect, log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics, make: Any
) -> None:
    await log.say(seal_of(viewers(1)), seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    made: Projection = make(metrics)
    await catch_up(made)
    other = SaidLog()
    await other.say(seal_of(viewers(2)))
    with pytest.raises(ProjectionError, match=f"offset 2 of {EPOCH_SEALED}/0, but the log ends at 1"):
        await ProjectionRunner(other, made, connect, metrics).catch_up()


async def test_what_was_cut_from_the_log_before_it_was_applied_is_an_alarm(
    db: Any, log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(*(seal_of(viewers(1), epoch_start_s=T0_S + hour * HOUR_S) for hour in range(4)))
    log.delete_before(EPOCH_SEALED, 0, 3)
    for _ in range(2):
        await catch_up(SealedProjection(metrics))
    [alarm] = await read.alarms(db)
    assert (alarm.kind, alarm.subject) == ("records_gone", f"sealed|{EPOCH_SEALED}/0|3")
    assert len(await read.viewer_epochs(db, "twitch:id:1")) == 1


async def test_stopped_channels_show_in_the_metrics_of_a_process_that_starts_after_the_stop(
    db: Any, log: SaidLog, connect: Connect, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    await log.say(seal_of(viewers(1)), seal_of(viewers(1), salt=1))
    await catch_up(SealedProjection(metrics))
    assert metrics.stopped_channels._value.get() == 1
    later = ProjectionMetrics(CollectorRegistry())
    await ProjectionRunner(log, SealedProjection(later), connect, later).catch_up()
    assert later.stopped_channels._value.get() == 1
    await log.append(EPOCH_SEALED, [Append(0, b"k", b"\xc1")])
    await ProjectionRunner(log, SealedProjection(later), connect, later).catch_up()
    assert later.stopped_channels._value.get() == 1
