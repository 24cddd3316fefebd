"""One history acted out: its world, its processes, what they are made to suffer; and how all is brought up again.

What the verdict needs to know of the way is written down here: whether there was a time when every node that answered
lied; and by the operator, what was frozen when and what cap held.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from claim_api.database_faults import FAULTS
from claim_api.ledger.errors import ClaimRefused
from claim_api.ledger.reserve import Limits, reserve
from claim_api.ledger.rows import AllocationKey, Claim, Fee
from claim_api.payer.door import Act as SignAction
from claim_api.payer.door import Given, PrepareFor, Submit
from infra.databases import role_dsn
from infra.localnet import Fault
from tests.integration.claims.histories import acts
from tests.integration.claims.histories.acts import Act, Ask, History, ViewerPays
from tests.integration.claims.histories.processes import Armed, PayerProcess, SignerProcess
from tests.integration.claims.histories.setting import Setting
from tests.integration.claims.histories.switching import HOUR_BASE_UNITS, Operator
from tests.integration.claims.histories.wallet import refreshed, signed_by
from tests.seals import CHANNEL

SETTLE_SLOTS: Final = 900
"""Within so many slots of a world without faults every claim must have found its end."""


@dataclass
class Stage:
    """history: what is acted out; figures: what happened, by name."""

    history: History
    setting: Setting
    figures: Counter[str] = field(default_factory=Counter)
    armed: Armed = field(default_factory=Armed)
    lies: int = 0
    """Looks at which nobody honest answered."""
    _strikes: list[Coroutine[Any, Any, None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._cutting = asyncio.Lock()
        self.operator = Operator(self.setting.owner)
        numbers = range(self.history.payers)
        self.signers = [SignerProcess(self.setting, number, self.armed) for number in numbers]
        self.payers = [PayerProcess(self.setting, self.signers[number], self.armed) for number in numbers]
        self.webs: list[Any] = [None, None]

    async def act_out(self) -> None:
        """Every act, then the settling."""
        for act in self.history.acts:
            await self._act(act)
        await self.settle()

    async def close(self) -> None:
        """End every process."""
        for strike in self._strikes:
            strike.close()
        for one in (*self.payers, *self.signers):
            await one.die()
        for pool in self.webs:
            if pool is not None:
                pool.terminate()

    # ---- the acts --------------------------------------------------------------------------------------------------

    async def _act(self, act: Act) -> None:
        setting, cluster = self.setting, self.setting.cluster
        self.figures[type(act).__name__] += 1
        match act:
            case acts.Hours(count):
                await setting.seal_hours(count)
            case acts.Revise(hour):
                await setting.revise(hour)
            case acts.Reserve(asked):
                await asyncio.gather(*(self._reserve(one) for one in asked))
            case acts.ApiDies(asked, committed):
                await self._api_dies(asked, committed)
            case acts.ViewerPays():
                await self._viewer_pays(act)
            case acts.Rebind(viewer):
                await setting.bind(viewer)
            case acts.WaitOver():
                await setting.owner.execute("update claims.user_wallets set effective_at = least(effective_at, now())")
            case acts.Arm(step):
                self.armed.at.add(step)
            case acts.Kill(process, which, turns):
                processes = self.payers if process == "payer" else self.signers
                self._strikes.append(self._after(turns, processes[which % len(processes)].die))
            case acts.DatabaseCut(turns):
                self._strikes.append(self._after(turns, self._cut_database))
            case acts.ChainDies(turns):
                for node in cluster.nodes:
                    node.invents = False  # it would be heard alone, where the chain dies between two answers
                self._strikes.append(self._after(turns, self._chain_dies))
            case acts.Trouble():
                self._trouble(act)
            case acts.Well():
                cluster.well()
            case acts.AllLie(twice):
                await self._all_lie(twice)
            case acts.Lost():
                for node in cluster.nodes:
                    node.faults.set("sendTransaction", Fault("drop"))
                await self._round(1)
                self._slots(acts.LIFE_SLOTS + 30)
            case acts.Replay():
                cluster.replay()
            case acts.Freeze():
                await self.operator.freeze()
            case acts.Unfreeze():
                await self.operator.unfreeze()
            case acts.Cap(hours):
                await self.operator.set_cap(None if hours is None else hours * HOUR_BASE_UNITS)
            case acts.Clock(offset_s):
                await setting.owner.execute("update skewed.clock set offset_s = $1", offset_s)
            case acts.Retry():
                await self.operator.retry_held()
            case acts.Slots(count):
                self._slots(count)
            case acts.Rounds(count, slots):
                for _ in range(count):
                    await self._round(slots)

    def _slots(self, count: int) -> None:
        if not self.setting.cluster.down:
            self.setting.cluster.chain.advance(count)

    async def _round(self, slots: int) -> None:
        strikes, self._strikes = self._strikes, []
        steps = [one.step(which) for one in self.payers for which in ("take", "look", "rent", "returned")]
        if self._nobody_honest():
            self.lies += 1
        await asyncio.gather(*steps, *strikes)
        if self.setting.cluster.down:
            self.setting.cluster.come_back()
        self._slots(slots)

    async def _after(self, turns: int, strike: Any) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)  # a turn of the loop; nothing is waited for
        await strike()

    async def _cut_database(self) -> None:
        async with self._cutting:
            await self.setting.owner.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )

    async def _chain_dies(self) -> None:
        if not self.setting.cluster.down:
            self.setting.cluster.die()

    def _trouble(self, act: acts.Trouble) -> None:
        node = self.setting.cluster.nodes[act.node]
        match act.kind:
            case "drop" | "deny" | "late":
                node.faults.set("sendTransaction", Fault(act.kind, slots=act.slots))
            case "http" | "error":
                node.faults.set("*", Fault(act.kind, rate=0.5))
            case "lag":
                node.faults.lag(act.slots)
            case "lie":
                node.lies = True
            case "invents":
                node.invents = not self._strikes
            case "down":
                node.down = True

    def _nobody_honest(self) -> bool:
        nodes = self.setting.cluster.nodes
        liars = [one for one in nodes if one.lies and not one.down]
        sure = [one for one in nodes if not one.lies and not one.down and "*" not in one.faults.shown()["rules"]]
        return bool(liars) and not sure

    async def _all_lie(self, twice: bool) -> None:
        nodes = self.setting.cluster.nodes
        before = [one.lies for one in nodes]
        for node in nodes:
            node.lies = True
        for _ in range(2 if twice else 1):
            self.lies += 1
            await asyncio.gather(*(one.step("look") for one in self.payers))
            if twice:
                self._slots(4)
        if twice:
            await asyncio.gather(*(one.step("take") for one in self.payers))
        for node, lied in zip(nodes, before, strict=True):
            node.lies = lied

    # ---- people ----------------------------------------------------------------------------------------------------

    async def _web(self, api: int) -> Any:
        if self.webs[api] is None:
            self.webs[api] = await asyncpg.create_pool(role_dsn(self.setting.dsn, "twzrd_web"), min_size=0, max_size=8)
        return self.webs[api]

    async def _reserve(self, asked: Ask, fee: Fee = "server") -> Claim | None:
        """As a web process does it; a connection that was cut is the viewer's to try again."""
        for _ in range(3):
            try:
                async with (await self._web(asked.api)).acquire() as connection, connection.transaction():
                    claim = await self._reserved(connection, asked, fee)
            except ClaimRefused as refusal:
                self.figures[f"refused {refusal.code}"] += 1
                return None
            except asyncpg.IntegrityConstraintViolationError:
                self.figures["refused by a key"] += 1
                return None
            except FAULTS:
                continue
            self.figures["reserved"] += 1
            return claim
        return None

    async def _reserved(self, connection: Any, asked: Ask, fee: Fee) -> Claim:
        wanted: Any = "all"
        if asked.hours is not None:
            wanted = [AllocationKey(CHANNEL, *self.setting.hours[hour]) for hour in asked.hours]
        viewer_key = self.setting.base + asked.viewer
        return await reserve(connection, viewer_key, None, str(self.setting.mint), fee, wanted, Limits())

    async def _api_dies(self, asked: Ask, committed: bool) -> None:
        if not committed:
            pool = await self._web(asked.api)
            with contextlib.suppress(ClaimRefused, *FAULTS):  # an earlier cut of the database is felt here
                connection = await pool.acquire()
                await connection.transaction().start()
                await self._reserved(connection, asked, "server")
        else:
            await self._reserve(asked)  # and its answer is lost
        self.webs[asked.api], pool = None, await self._web(asked.api)
        pool.terminate()
        await self._reserve(asked)

    async def _viewer_pays(self, act: ViewerPays) -> None:
        fee: Fee = "action" if act.how.startswith("act") else "viewer"
        claim = await self._reserve(Ask(0, act.viewer, None), fee)
        if claim is None:
            return
        payer = self.payers[0]
        wallet = next(one for one in self.setting.wallets[act.viewer] if str(one.pubkey()) == claim.wallet)
        question = SignAction(claim.claim_id) if fee == "action" else PrepareFor(claim.claim_id)
        given = await payer.ask(question)
        if not isinstance(given, Given):
            return
        chain = self.setting.cluster.chain
        paper = refreshed(given.transaction, chain.blockhashes.of(chain.slot)) if act.how == "fresh" else None
        signed = signed_by(paper or given.transaction, wallet)
        if act.how in ("submit", "fresh", "broadcast"):
            whole = await payer.ask(Submit(claim.claim_id, signed))
            if act.how == "broadcast" and isinstance(whole, Given):
                self.setting.cluster.keep(whole.transaction)
                self.setting.cluster.replay()
        elif act.how in ("act", "act late"):
            self.setting.cluster.keep(signed)
            if act.how == "act":
                self.setting.cluster.replay()

    # ---- the end ---------------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Everything comes up, nothing goes wrong any more, slots pass until every claim has found its end; at last
        somebody hands in every transaction that ever was, once more."""
        cluster, owner = self.setting.cluster, self.setting.owner
        self.armed.at.clear()
        await self._round(1)  # strikes that wait still fall
        cluster.well()
        await self.operator.unfreeze()
        await self.operator.set_cap(None)
        await owner.execute("update skewed.clock set offset_s = 0")
        end_slot = cluster.chain.slot + SETTLE_SLOTS
        while cluster.chain.slot < end_slot and await self._open():
            await self._round(5)
        self._slots(4)
        cluster.replay()
        self._slots(4)
        for _ in range(2):
            await self._round(4)

    async def _open(self) -> bool:
        open_ = "select count(*) from claims.claims where state = 'signed' or (state = 'reserved' and fee = 'server')"
        return bool(await self.setting.owner.fetchval(open_))
