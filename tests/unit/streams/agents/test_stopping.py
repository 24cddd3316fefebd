"""A worker that is asked to stop ends in bounded time, even where Faust's goodbye would never end."""

import signal
import subprocess
import sys

PROGRAM = """
import asyncio, faust
from streams.agents.stopping import BoundedWorker

class Stuck(BoundedWorker):
    async def _stop_on_signal(self, signal):
        await asyncio.Event().wait()

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
worker = Stuck(faust.App("stuck", broker="memory://"), loop=loop, stop_s=0.5, quiet=True)
worker.install_signal_handlers()
print("ready", flush=True)
loop.run_forever()
"""


def test_a_goodbye_that_never_ends_is_cut_off() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()
