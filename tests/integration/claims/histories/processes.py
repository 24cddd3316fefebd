"""Payers, signers and web processes as they live and die: each with a pool to the database and one to the nodes of its
own. Death is what SIGKILL leaves: sockets closed at once, nothing tidied up, every task gone.
"""

import asyncio
import contextlib
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry
from solders.signature import Signature

from claim_api.chain.rpc import RpcChain
from claim_api.ledger.steps import Step
from claim_api.payer.config import PayerConfig
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from claim_api.payer.process import AWAY, Payer
from claim_api.signer import protocol
from claim_api.signer.checks import Checks
from claim_api.signer.key import FileKey
from claim_api.signer.last_signed import LastSigned
from claim_api.signer.making import SignerConfig
from claim_api.signer.protocol import Answer, Question
from claim_api.signer.service import Signer
from claim_api.unix_socket import SocketError
from infra.databases import role_dsn
from streams.chain.rpc.config import EndpointConfig, PoolBounds
from streams.chain.rpc.pool import RpcPool
from tests.claims_parts import MARKER_SECRET, Crashed, verify
from tests.claims_world import QUICK
from tests.integration.claims.histories.acts import DAY_S
from tests.integration.claims.histories.setting import Setting

PACE: Final = replace(QUICK, rent_after_s=DAY_S)
"""No waiting but for the chain's slots and for the rent, which comes back after a day of the database's clock."""
BOUNDS: Final = PoolBounds(
    timeout_s=6.0,
    attempt_s=3.0,
    round_pause_s=0.001,
    hedge_least_s=0.2,
    hedge_unknown_s=0.2,
    rest_most_s=0.001,
    breaker_failures=1_000_000,
)
"""A node that failed is tried again at once: histories do not wait. No breaker leaves out a node that is well: one that
invents would be heard alone."""
PRICE: Final = 1_000


@dataclass
class Armed:
    """Where the next process dies. reached: steps at which one did."""

    at: set[Step] = field(default_factory=set)
    reached: list[Step] = field(default_factory=list)
    passed: set[Step] = field(default_factory=set)

    def __call__(self, step: Step) -> None:
        self.passed.add(step)
        if step in self.at:
            self.at.discard(step)
            self.reached.append(step)
            raise Crashed(step)


class Process:
    """What all have in common. deaths: so often it died."""

    def __init__(self, setting: Setting, role: str) -> None:
        self.setting, self._role = setting, role
        self.pool: Any = None
        self._rpc: RpcPool | None = None
        self._tasks = set[asyncio.Task[Any]]()
        self.deaths = 0

    async def started(self) -> None:
        """Start, where it is not running."""
        if self.pool is not None:
            return
        self.pool = await asyncpg.create_pool(role_dsn(self.setting.dsn, self._role), min_size=0, max_size=8)
        self._rpc = RpcPool(
            [EndpointConfig(url=one.url, rate_per_s=1e6, burst=1e6) for one in self.setting.cluster.nodes],
            bounds=BOUNDS,
        )
        await self._rpc.start(watch=False)
        self.compose(RpcChain(self._rpc))

    def compose(self, chain: RpcChain) -> None:
        """Put its parts together."""

    async def die(self) -> None:
        """Tasks first, so that none of them lives to see its sockets closed."""
        if self.pool is None:
            return
        self.deaths += 1
        pool, rpc, self.pool, self._rpc = self.pool, self._rpc, None, None
        tasks = [one for one in self._tasks if one is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        pool.terminate()
        await asyncio.gather(*tasks, return_exceptions=True)
        if rpc is not None:
            await rpc.close()

    async def doing(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The work as a task of this process. Raises what it raises; SocketError where the process died under it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        await asyncio.wait({task})
        self._tasks.discard(task)
        if task.cancelled():
            raise SocketError("it died")
        error = task.exception()
        if isinstance(error, Crashed):
            await self.die()
            raise SocketError("it died")
        if error is not None:
            raise error
        return task.result()


class SignerProcess(Process):
    """A signer, and the port that its payer holds."""

    def __init__(self, setting: Setting, number: int, armed: Armed) -> None:
        super().__init__(setting, "twzrd_signer")
        self._mark, self._armed = setting.folder / f"signed{number}.mark", armed
        self.signer: Any = None

    def compose(self, chain: RpcChain) -> None:
        setting = self.setting
        config = SignerConfig(
            mint=setting.mint,
            source="mint",
            server_fee_payer=setting.fee_payer.pubkey(),
            marker_secret=MARKER_SECRET,
            price_micro_lamports=PRICE,
        )
        checks = Checks(str(setting.mint), MARKER_SECRET, setting.fee_payer.pubkey(), verify)
        self.signer = Signer(
            self.pool,
            chain,
            WatchedKey(setting),
            checks,
            config,
            last_signed=LastSigned(self._mark),
            crash=self._armed,
        )

    async def ask(self, question: Question) -> list[Answer]:
        """Through the bytes of the protocol. Raises SocketError where it dies meanwhile."""
        await self.started()
        read = protocol.question_of(protocol.encode(question))
        return protocol.answers_of(protocol.encode(await self.doing(self.signer.answer(read))))


class PayerProcess(Process):
    """A payer by its steps."""

    def __init__(self, setting: Setting, signer: SignerProcess, armed: Armed) -> None:
        super().__init__(setting, "twzrd_payer")
        self.asks, self._armed = signer, armed
        self.payer: Any = None

    def compose(self, chain: RpcChain) -> None:
        setting = self.setting
        config = PayerConfig(
            mint=setting.mint,
            authority=setting.authority.pubkey(),
            source="mint",
            price_micro_lamports=PRICE,
            pace=PACE,
        )

        async def connect() -> Any:
            raise OSError("nobody listens here: the steps are called")

        self.payer = Payer(
            self.pool,
            connect,
            self.asks,
            chain,
            FeePayer(setting.fee_payer, config),
            PayerMetrics(CollectorRegistry()),
            crash=self._armed,
        )

    async def step(self, which: str) -> None:
        """take, look, rent or returned. What is away, or dies, is taken up in the next round."""
        with contextlib.suppress(*AWAY):
            await self.started()
            await self.doing(getattr(self.payer, {"take": "intake", "look": "watch"}.get(which, which)).step())

    async def ask(self, question: Any) -> Any:
        """At the payer's door; None where it is away or dies."""
        with contextlib.suppress(*AWAY):
            await self.started()
            return await self.doing(self.payer.door.answer(question))
        return None


class WatchedKey(FileKey):
    """The authority's key, with somebody beside it who writes down what is signed, and when by the chain."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting.authority)
        self._setting = setting

    async def sign(self, message: bytes) -> Signature:
        self._setting.signed.setdefault(message, self._setting.cluster.chain.slot)
        return await super().sign(message)
