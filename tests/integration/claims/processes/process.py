"""`twzrd sign`, `pay`, `serve` and `localnet` as the command line runs them, but that SIGKILL falls at a named place,
and that the process's clock may be a day off; the tests start it with `python -m`.

--at: a claim_api.ledger.steps.Step by its name, or one of PLACES. --kill: whose process id; its own where none is
given. The kill falls once, the first time. --clock-s: what every clock of this process says beyond the true time.
"""

import argparse
import datetime
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

PLACES: Final = ("RESERVING", "RESERVED", "LANDED")
"""The web process before its commit, and between commit and answer; the chain between landing and answer."""
PACE: Final[dict[str, Any]] = {
    "lease_s": 0.3, "poll_s": 0.1, "watch_s": 0.05, "resend_s": 0.1, "late_s": 0.1, "look_every_s": 0.05,
    "looks_apart_slots": 2, "retry_first_s": 0.05, "retry_last_s": 0.2, "rent_every_s": 0.1, "rent_after_s": 0.0,
}  # fmt: skip


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--at", default="")
    parser.add_argument("--kill", type=int, default=0)
    parser.add_argument("--clock-s", type=int, default=0)
    parser.add_argument("--port", type=int, default=0, help="of the localnet")
    parser.add_argument("command", choices=("sign", "pay", "serve", "localnet"))
    given = parser.parse_args()
    if given.clock_s:
        _shift(given.clock_s)
    hit = _hitting(given.kill or os.getpid())
    if given.command == "localnet":
        _localnet(given.home, given.port, hit if given.at == "LANDED" else None)
        return
    _claims(given.command, given.home, given.at, hit)


def _claims(command: str, home: Path, at: str, hit: Callable[[], None]) -> None:
    from claim_api.ledger.steps import Step
    from claim_api.payer.config import Pace
    from infra import logs, paying, serving
    from infra.looping import run
    from infra.settings import load

    def crash(step: Step) -> None:
        if step.name == at:
            hit()

    settings = load(home)
    logs.configure(settings.log_level, settings.log_format)
    if command == "sign":
        run(paying.sign(settings, None, crash=crash))
    elif command == "pay":
        run(paying.pay(settings, None, pace=Pace(**PACE), crash=crash))
    else:
        _web(at, hit)
        run(serving.run(settings, settings.api_host, settings.api_port))


def _web(at: str, hit: Callable[[], None]) -> None:
    from claim_api.ledger.reserve import reserve
    from claim_api.payments import pages

    reserved = pages.Claims.reserved

    async def reserving(*arguments: Any) -> Any:
        claim = await reserve(*arguments)
        if at == "RESERVING":
            hit()
        return claim

    async def committed(self: Any, *arguments: Any) -> Any:
        claim = await reserved(self, *arguments)
        if at == "RESERVED":
            hit()
        return claim

    setattr(pages, "reserve", reserving)  # noqa: B010 - the module takes it from elsewhere
    setattr(pages.Claims, "reserved", committed)  # noqa: B010


def _localnet(home: Path, port: int, hit: Callable[[], None] | None) -> None:
    from infra.cli import twzrd
    from infra.localnet.chain import Chain

    land = Chain.land

    def landing(self: Chain, *arguments: Any, **named: Any) -> Any:
        entry = land(self, *arguments, **named)
        if hit is not None and entry is not None and len(entry.transaction.message.instructions) == 5:
            hit()
        return entry

    Chain.land = landing  # type: ignore[method-assign]
    arguments = ["--home", str(home), "localnet", "--slot-ms", "0", "--faults", "--json", "--port", str(port)]
    twzrd(arguments)


def _hitting(pid: int) -> Callable[[], None]:
    left = [pid]

    def hit() -> None:
        if left:
            os.kill(left.pop(), signal.SIGKILL)

    return hit


def _shift(by_s: int) -> None:
    """Every clock that Python code of this process can ask for the time of day."""
    now_s, now_ns = time.time, time.time_ns

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Shifted":
            return cls.fromtimestamp(time.time(), tz)

    time.time = lambda: now_s() + by_s
    time.time_ns = lambda: now_ns() + by_s * 1_000_000_000
    datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    main()
