"""Faust's tables without the wait for their changelog: after a rebalance a worker folds at once. Used by `app`.

Stands between Faust's rebalance and the flow of records. Faust reads a table's changelog to its end before it lets
the first record of a stream through, so a changelog that cannot be read would hold all seals up. Here the only table
is the live views, and the shards make them anew from chat.events: nothing is read, nor asked of the changelog. One
override each, for facts of Faust 0.15.3 (see streams.agents.consumer):

- `TableManager.__bool__` is asked by the recovery alone, and where there are no tables it only seeks the streams and
  lets records flow.
- `Recovery._wait` takes a step that ran out of time (broker_request_timeout) for the order to stop, and the service
  that would take the worker through its next rebalance ends without a word; and an error of the log, which may be back
  in a moment, ends the worker. Here either begins again, counted.
"""

import logging
from typing import Any, Final, NoReturn

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

from streams.log.port import LogError

LOG_AWAY_S: Final = 1.0
"""Between two tries to read a log that is away; each try has waited for it before."""

_log = logging.getLogger(__name__)


class PatientRecovery(Recovery):
    """Faust's recovery that begins again when a step takes too long."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        """Raises ServiceStopped when the worker stops, RebalanceAgain when it must begin again, and what the step
        raises, but for a log that is away."""
        again: Any = self.signal_recovery_start
        try:
            result = await self.wait_first(coro, again, timeout=timeout)
        except LogError as error:
            _log.warning("after a rebalance the worker cannot read the log: %s; it tries again", error)
            await self.sleep(LOG_AWAY_S)
            self._begin_again()
        if self.should_stop:
            raise ServiceStopped
        if again in result.done:
            raise RebalanceAgain
        if result.stopped:  # what mode says also when time ran out
            _log.warning("the worker was not ready %s s after a rebalance; it tries again", timeout)
            self._begin_again()

    def _begin_again(self) -> NoReturn:
        app: Any = self.app
        app.shards.counters.recovery_restarts_total += 1
        self.signal_recovery_start.set()
        raise RebalanceAgain


class Tables(TableManager):
    """Faust's tables, of which none is to be recovered."""

    def __bool__(self) -> bool:
        return False

    @property
    def recovery(self) -> Recovery:
        if self._recovery is None:
            self._recovery = PatientRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery
