"""`python -m infra.cli.child`: the same command line for a part of a supervisor's, which ends when that does.

In: a standard input whose other end the supervisor holds and never writes to: its end means that the supervisor is
gone, kill -9 included. Signals of the terminal go to the whole group; here they are the supervisor's to answer.
"""

import os
import signal
import threading
from typing import Final

from infra.cli import main

GOODBYE_S: Final = 20.0
"""How long a part may take to stop once its supervisor is gone."""


def _end_with_supervisor() -> None:
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GOODBYE_S)
    os._exit(1)


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_supervisor, daemon=True).start()
    main()
