"""A Faust worker that ends in bounded time when it is asked to stop. Used by `app.run_worker`.

Faust's goodbye can wait for a broker that is away or for a rebalance that does not end. Nothing rests on it: what was
not written is folded again by the next owner.
"""

import logging
import os
import signal
import threading
from typing import Any, Final

import faust

STOP_S: Final = 15.0

_log = logging.getLogger(__name__)


class BoundedWorker(faust.Worker):
    """faust.Worker; stop_s after the first SIGTERM or SIGINT the process ends, finished or not, with code 0."""

    def __init__(self, *arguments: Any, stop_s: float = STOP_S, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stop_s = stop_s

    def _schedule_shutdown(self, signal: signal.Signals) -> None:
        if not self._signal_stop_time:
            timer = threading.Timer(self._stop_s, self._leave)
            timer.daemon = True
            timer.start()
        super()._schedule_shutdown(signal)

    def _leave(self) -> None:
        _log.warning("the worker did not stop within %.0f s and leaves as it is; nothing is lost", self._stop_s)
        logging.shutdown()
        os._exit(0)
