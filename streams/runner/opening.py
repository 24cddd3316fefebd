"""Opens a worker's log, and waits for one that is away: a worker may be started before its broker or database."""

import logging
from collections.abc import Awaitable, Callable

from streams.log.port import Log, LogAway
from streams.runner.backoff import Backoff

_log = logging.getLogger(__name__)


async def open_when_there(log: Log, stopping: Callable[[], bool], sleep: Callable[[float], Awaitable[object]]) -> bool:
    """Open the log, trying again (each time logged, at most 5 s apart) while it is away. False: stopping() became true
    first, and the log is not open. sleep: waits that many seconds, or until the worker stops. Raises LogError where
    waiting does not help."""
    backoff = Backoff()
    while not stopping():
        try:
            await log.open()
        except LogAway as error:
            wait_s = backoff.next_s()
            _log.warning("%s; the worker tries again in %.1f s", error, wait_s)
            await sleep(wait_s)
        else:
            return True
    return False
