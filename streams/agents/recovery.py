"""Faust's tables without the wait for their changelog: after a rebalance a worker folds at once. Used by `app`.

Stands between Faust's rebalance and the flow of records. Faust reads a table's changelog to its end before it lets
the first record of a stream through, so a changelog that cannot be read would hold all seals up. Here the only table
is the live views, and the shards make them anew from chat.events: nothing is read, nor asked of the changelog. One
override each, for facts of Faust 0.15.3 (see streams.agents.consumer):

- `TableManager.__bool__` is asked by the recovery alone, and where there are no tables it only seeks the streams and
  lets records flow.
- `Recovery._wait` takes a step that ran out of time (broker_request_timeout) for the order to stop, and the service
  that would take the worker through its next rebalance ends without a word. Here it begins again, counted.
"""

import logging
from typing import Any

from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped

_log = logging.getLogger(__name__)


class PatientRecovery(Recovery):
    """Faust's recovery that begins again when a step takes too long."""

    async def _wait(self, coro: Any, timeout: Any = None) -> None:
        """Raises ServiceStopped when the worker stops, RebalanceAgain when it must begin again."""
        again: Any = self.signal_recovery_start
        result = await self.wait_first(coro, again, timeout=timeout)
        if self.should_stop:
            raise ServiceStopped
        if again in result.done:
            raise RebalanceAgain
        if result.stopped:  # what mode says also when time ran out
            app: Any = self.app
            app.shards.counters.recovery_restarts_total += 1
            _log.warning("the worker was not ready %s s after a rebalance; it tries again", timeout)
            again.set()
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
