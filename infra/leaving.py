"""How a command without an event loop is asked to leave: SIGTERM and a terminal that closes, as Ctrl-C.

Apart from infra.stopping, which needs asyncio: many a command does not.
"""

import os
import signal
from types import FrameType


def leave_on_signals() -> None:
    """For commands without such an event: SIGTERM and SIGHUP end them as Ctrl-C does, so that what they started (an
    embedded Postgres) is stopped. Raises SystemExit where the signal meets us; forked children die of it at once."""
    ours = os.getpid()

    def leave(number: int, _: FrameType | None) -> None:
        if os.getpid() != ours:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
