"""The payer put together, and its loops around the steps: woken by notices, never resting longer than its pace.

In: the parts, a way to connect for LISTEN, an event that says stop. Every state of the ledger is taken up where it
stands, so a start after a kill is a start like any other.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from claim_api.chain.port import Chain, ChainAway
from claim_api.database_faults import FAULTS
from claim_api.ledger.moves import RESERVED_NOTIFY, Moves
from claim_api.ledger.steps import Crash, no_crash
from claim_api.payer.backoff import Waits
from claim_api.payer.config import Pace
from claim_api.payer.door import Door
from claim_api.payer.intake import Intake
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from claim_api.payer.rent import Rent
from claim_api.payer.returned import Returned
from claim_api.payer.sending import Sending
from claim_api.payer.settle import Settling
from claim_api.payer.watch import Watch
from claim_api.retrying import Backoff, pause
from claim_api.signer.process import SignerPort
from claim_api.unix_socket import SocketError

_log: Final = logging.getLogger(__name__)
AWAY: Final = (*FAULTS, ChainAway, SocketError)
"""What is away may come back: the loop waits and goes on."""
Connect = Callable[[], Awaitable[Any]]


class Payer:
    """All parts and loops of one process. pool: of role twzrd_payer; connect: a connection of its own, for LISTEN;
    crash: tests only."""

    def __init__(
        self,
        pool: Any,
        connect: Connect,
        signer: SignerPort,
        chain: Chain,
        fee_payer: FeePayer,
        metrics: PayerMetrics,
        *,
        crash: Crash = no_crash,
    ) -> None:
        self._pace: Pace = fee_payer.config.pace
        self._metrics, self._connect = metrics, connect
        self._moves = Moves(pool)
        waits = Waits(self._pace)
        sending = Sending(self._moves, chain, metrics, self._pace.sends_at_once, crash)
        settling = Settling(self._moves, chain, metrics)
        self.intake: Final = Intake(
            self._moves, signer, chain, fee_payer, sending, settling, metrics, waits, self._pace, crash
        )
        self.watch: Final = Watch(self._moves, chain, sending, settling, metrics, waits, self._pace, crash)
        self.rent: Final = Rent(self._moves, chain, fee_payer, metrics, self._pace.rent_after_s, crash)
        self.returned: Final = Returned(self._moves, chain, settling)
        self.door: Final = Door(self._moves, signer, chain, fee_payer, sending, settling, metrics, crash)
        self._noticed = asyncio.Event()
        self._count_at_s = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Until stop is set. Raises what is nobody's fault but ours."""
        loops = [
            asyncio.create_task(self._listen(stop)),
            asyncio.create_task(self._loop(self._take, stop, self._rest)),
            asyncio.create_task(self._loop(self._look, stop, lambda: pause(stop, self._pace.watch_s))),
            asyncio.create_task(self._loop(self.rent.step, stop, lambda: pause(stop, self._pace.rent_every_s))),
            asyncio.create_task(self._loop(self.returned.step, stop, lambda: pause(stop, self._pace.returned_every_s))),
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*loops, stopping], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*loops, stopping):
                task.cancel()
            await asyncio.gather(*loops, stopping, return_exceptions=True)
        for task in done - {stopping}:
            task.result()

    async def _take(self) -> None:
        """Batch after batch; each is sent while the next one is signed and stored."""
        self._noticed.clear()
        sending: asyncio.Task[None] | None = None
        try:
            while (prepared := await self.intake.prepare()).taken:
                if sending is not None:
                    await sending
                sending = asyncio.create_task(self.intake.send(prepared))
        except asyncio.CancelledError:
            if sending is not None:
                sending.cancel()  # what is stored and not sent, the next watch sends
            raise
        finally:
            if sending is not None:
                await sending

    async def _look(self) -> None:
        await self.watch.step()
        now_s = asyncio.get_running_loop().time()
        if now_s < self._count_at_s:
            return
        self._count_at_s = now_s + self._pace.count_every_s
        for state, (count, oldest_s) in (await self._moves.counts()).items():
            self._metrics.waiting.labels(state).set(count)
            self._metrics.oldest_s.labels(state).set(oldest_s)

    async def _rest(self) -> None:
        due_s = await self._moves.next_due_s()
        rest_s = self._pace.poll_s if due_s is None else min(self._pace.poll_s, max(0.01, due_s))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(rest_s):
                await self._noticed.wait()

    async def _loop(
        self, step: Callable[[], Awaitable[object]], stop: asyncio.Event, rest: Callable[[], Awaitable[None]]
    ) -> None:
        backoff = Backoff()
        while not stop.is_set():
            try:
                await step()
                await rest()
                backoff.reset()
            except AWAY as error:
                self._metrics.count("faults")
                _log.warning("the payer is thrown back: %s: %s", type(error).__name__, error)
                await backoff.wait(stop)

    async def _listen(self, stop: asyncio.Event) -> None:
        backoff = Backoff()
        while not stop.is_set():
            connection: Any = None
            try:
                connection = await self._connect()
                ended = asyncio.Event()
                connection.add_termination_listener(lambda _, ended=ended: ended.set())
                await connection.add_listener(RESERVED_NOTIFY, lambda *_: self._noticed.set())
                self._noticed.set()  # whatever was said before
                backoff.reset()
                await ended.wait()
            except AWAY as error:
                _log.warning("the payer hears no notices: %s: %s", type(error).__name__, error)
            finally:
                if connection is not None:
                    connection.terminate()
            await backoff.wait(stop)
