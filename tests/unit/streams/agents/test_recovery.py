"""After a rebalance nothing is waited for but the seek of the streams, and that is tried again until it works."""

import asyncio
import inspect
from pathlib import Path
from typing import Any

import pytest
from faust.tables import recovery as faust_recovery
from faust.tables.recovery import RebalanceAgain, ServiceStopped

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.agents.app import WorkerApp, create_app
from streams.agents.recovery import PatientRecovery
from streams.agents.settings import WorkerSettings
from streams.log.kafka import KafkaSettings
from streams.log.port import LogError
from tests.logs import PEPPER


@pytest.fixture
async def app(tmp_path: Path) -> WorkerApp:
    settings = WorkerSettings(kafka=KafkaSettings("127.0.0.1:1"), data_dir=tmp_path, web_port=None)
    return create_app(settings, PolicySchedule.of(DEFAULT_POLICY), PEPPER)


def recovery_of(app: WorkerApp) -> Any:
    tables: Any = app.tables
    return tables.recovery


async def test_faust_recovers_no_table_and_still_has_one(app: WorkerApp) -> None:
    assert list(app.tables) == ["live"]
    assert not app.tables
    assert isinstance(recovery_of(app), PatientRecovery)
    assert recovery_of(app).tables is app.tables
    assert "if not self.tables or" in inspect.getsource(faust_recovery.Recovery._restart_recovery.fun)


async def test_a_step_that_runs_out_of_time_begins_again_and_is_counted(app: WorkerApp) -> None:
    recovery = recovery_of(app)
    with pytest.raises(RebalanceAgain):
        await recovery._wait(asyncio.Event().wait(), timeout=0.01)
    assert recovery.signal_recovery_start.is_set()
    assert app.shards.counters.recovery_restarts_total == 1


async def test_a_step_that_is_done_in_time_goes_on(app: WorkerApp) -> None:
    recovery = recovery_of(app)
    await recovery._wait(asyncio.sleep(0), timeout=10)
    assert not recovery.signal_recovery_start.is_set()
    assert app.shards.counters.recovery_restarts_total == 0


async def test_another_rebalance_ends_a_step(app: WorkerApp) -> None:
    recovery = recovery_of(app)
    recovery.signal_recovery_start.set()
    with pytest.raises(RebalanceAgain):
        await recovery._wait(asyncio.Event().wait(), timeout=10)
    assert app.shards.counters.recovery_restarts_total == 0


async def test_a_worker_that_stops_ends_a_step_for_good(app: WorkerApp) -> None:
    recovery = recovery_of(app)
    recovery._stopped.set()
    with pytest.raises(ServiceStopped):
        await recovery._wait(asyncio.Event().wait(), timeout=10)


async def test_a_step_that_cannot_read_the_log_begins_again_and_is_counted(
    app: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise LogError("no broker")

    monkeypatch.setattr("streams.agents.recovery.LOG_AWAY_S", 0.0)
    recovery = recovery_of(app)
    with pytest.raises(RebalanceAgain):
        await recovery._wait(fails(), timeout=10)
    assert recovery.signal_recovery_start.is_set()
    assert app.shards.counters.recovery_restarts_total == 1


async def test_what_else_a_step_raises_is_raised(app: WorkerApp) -> None:
    async def fails() -> None:
        raise OSError("no broker")

    with pytest.raises(OSError, match="no broker"):
        await recovery_of(app)._wait(fails(), timeout=10)


async def test_faust_takes_a_step_that_runs_out_of_time_for_the_order_to_stop(app: WorkerApp) -> None:
    """The fact that `_wait` is overridden for; where this fails the override may go."""
    with pytest.raises(ServiceStopped):
        await faust_recovery.Recovery._wait(recovery_of(app), asyncio.Event().wait(), timeout=0.01)
