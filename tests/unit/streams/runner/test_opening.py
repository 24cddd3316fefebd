"""A worker waits for a log that is away, says so, and stops waiting when it is asked to or when waiting cannot help."""

import logging

import pytest

from streams.log.port import LogAway, LogError
from streams.runner.backoff import LAST_S
from streams.runner.opening import open_when_there
from tests.memory_log import MemoryLog


class AwayLog(MemoryLog):
    """Is away for so many calls, then opens, or refuses."""

    def __init__(self, away: int, then: LogError | None = None) -> None:
        super().__init__()
        self.away, self.then, self.calls = away, then, 0

    async def open(self) -> None:
        self.calls += 1
        if self.calls <= self.away:
            raise LogAway("Kafka at nowhere cannot be reached")
        if self.then:
            raise self.then


class Naps:
    """Does not sleep; remembers for how long it should have, and says stop after so many."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.seconds: list[float] = []
        self._stop_after = stop_after

    async def sleep(self, seconds: float) -> None:
        assert len(self.seconds) < 50, "it goes on for ever"
        self.seconds.append(seconds)

    def stopping(self) -> bool:
        return self._stop_after is not None and len(self.seconds) >= self._stop_after


async def test_a_log_that_is_away_is_waited_for_ever_longer_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    log, naps = AwayLog(12), Naps()
    with caplog.at_level(logging.WARNING):
        assert await open_when_there(log, naps.stopping, naps.sleep)
    assert log.calls == 13
    assert naps.seconds[0] <= 0.1 and LAST_S / 2 <= naps.seconds[-1] <= LAST_S
    assert len(caplog.records) == 12
    assert "Kafka at nowhere cannot be reached; the worker tries again in" in caplog.text


async def test_waiting_ends_when_the_worker_is_stopped() -> None:
    log, naps = AwayLog(99), Naps(stop_after=3)
    assert not await open_when_there(log, naps.stopping, naps.sleep)
    assert log.calls == 3


async def test_what_waiting_cannot_mend_is_raised_at_once() -> None:
    log, naps = AwayLog(1, LogError("4 partitions, the settings say 3")), Naps()
    with pytest.raises(LogError, match="say 3"):
        await open_when_there(log, naps.stopping, naps.sleep)
    assert len(naps.seconds) == 1
