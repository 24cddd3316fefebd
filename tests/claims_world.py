"""Everything a claim meets, for tests: a database with sealed hours and bound wallets, a local Solana cluster whose
slots pass by hand, a mint, and signer and payer in this process, each under its own database role.

Crashes are seeded: `Crasher` raises at the step it is told, as a process that dies there leaves things.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import asyncpg
from prometheus_client import CollectorRegistry
from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey

from claim_api.chain.port import Chain
from claim_api.chain.rpc import RpcChain
from claim_api.ledger import operate
from claim_api.ledger.reconcile import Difference, Expected, differences
from claim_api.ledger.reserve import Limits, Wanted, reserve
from claim_api.ledger.rows import Claim, Fee
from claim_api.ledger.steps import Crash, no_crash
from claim_api.payer.config import Pace, PayerConfig
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from claim_api.payer.process import Payer
from claim_api.signer.checks import Checks, VerifyBinding
from claim_api.signer.key import FileKey
from claim_api.signer.last_signed import LastSigned
from claim_api.signer.making import SignerConfig
from claim_api.signer.service import Signer
from infra.databases import role_dsn
from infra.localnet import Localnet, LocalnetOptions
from projections.metrics import ProjectionMetrics
from projections.runner import ProjectionRunner, connector
from projections.sealed import SealedProjection
from schemas.sealed import SealedEpoch
from streams.chain import mint, signing
from streams.chain.rpc.config import EndpointConfig
from streams.chain.rpc.pool import RpcPool
from tests.claims_parts import MARKER_SECRET, SignerHere, bound_message, held_base_units, verify
from tests.seals import SaidLog, seal_of, viewers

QUICK = Pace(
    lease_s=0.0,
    resend_s=0.0,
    late_s=0.0,
    look_every_s=0.0,
    looks_apart_slots=2,
    retry_first_s=0.0,
    retry_last_s=0.0,
    rent_after_s=0.0,
)
"""No waiting: what is due is due at once, so that tests go on by steps and slots."""
Source = Literal["mint", "treasury"]


@dataclass
class ClaimsWorld:
    """dsn: of the owner; pools by role. localnet is None where a test needs no chain."""

    dsn: str
    owner: Any
    web: Any
    payer_pool: Any
    signer_pool: Any
    localnet: Localnet
    chain: Chain
    authority: Keypair
    fee_payer: Keypair
    mint: Pubkey
    source: Source
    wallets: dict[int, Keypair] = field(default_factory=dict)
    log: SaidLog = field(default_factory=lambda: SaidLog(1))
    metrics: ProjectionMetrics = field(default_factory=lambda: ProjectionMetrics(CollectorRegistry()))

    async def seal(self, *seals: SealedEpoch) -> None:
        """These hours are sealed and projected."""
        await self.log.say(*seals)
        runner = ProjectionRunner(self.log, SealedProjection(self.metrics), connector(self.dsn), self.metrics)
        await runner.catch_up()

    async def hours(self, *viewer_keys: int, count: int = 1, first: int = 0) -> None:
        """So many hours in which all of these took part."""
        made = [seal_of(viewers(*viewer_keys), epoch_start_s=1_760_000_400 + 3600 * (first + n)) for n in range(count)]
        await self.seal(*made)

    async def bind(self, viewer_key: int, wallet: Keypair | None = None) -> Keypair:
        """A wallet is bound by its owner's signature."""
        wallet = wallet or Keypair()
        message, signature = bound_message(wallet, viewer_key)
        await self.owner.execute(
            "insert into claims.twitch_users (viewer_key, login, display_name) values ($1, $2, $2) "
            "on conflict do nothing",
            viewer_key,
            f"n{viewer_key}",
        )
        await self.web.fetchval(
            "select claims.bind_wallet($1, $2, $3, $4, 'siws')", viewer_key, str(wallet.pubkey()), message, signature
        )
        self.wallets[viewer_key] = wallet
        return wallet

    async def reserve(
        self, viewer_key: int, wanted: Wanted = "all", *, fee: Fee = "server", limits: Limits | None = None
    ) -> Claim:
        """As the web process does it."""
        async with self.web.acquire() as connection, connection.transaction():
            return await reserve(connection, viewer_key, None, str(self.mint), fee, wanted, limits or Limits())

    async def viewer_with_claim(self, viewer_key: int = 7, *, fee: Fee = "server") -> Claim:
        """One hour, one wallet, one reserved claim."""
        await self.hours(viewer_key)
        await self.bind(viewer_key)
        return await self.reserve(viewer_key, fee=fee)

    def signer(
        self,
        crash: Crash = no_crash,
        *,
        chain: Chain | None = None,
        last_signed: LastSigned | None = None,
        verify: VerifyBinding = verify,
        **changes: Any,
    ) -> SignerHere:
        """A signer that has just started. verify: of bindings, for a site elsewhere than at DOMAIN."""
        config = SignerConfig(
            mint=self.mint,
            source=self.source,
            server_fee_payer=self.fee_payer.pubkey(),
            marker_secret=MARKER_SECRET,
            price_micro_lamports=1_000,
        )
        config = replace(config, **changes)
        checks = Checks(str(self.mint), MARKER_SECRET, self.fee_payer.pubkey(), verify)
        key = FileKey(self.authority)
        chain = chain or self.chain
        made = Signer(self.signer_pool, chain, key, checks, config, last_signed=last_signed, crash=crash)
        return SignerHere(made)

    def payer(
        self,
        signer: SignerHere | None = None,
        crash: Crash = no_crash,
        *,
        pace: Pace = QUICK,
        chain: Chain | None = None,
    ) -> "PayerHere":
        """A payer that has just started."""
        config = PayerConfig(
            mint=self.mint,
            authority=self.authority.pubkey(),
            source=self.source,
            price_micro_lamports=1_000,
            pace=pace,
        )
        metrics = PayerMetrics(CollectorRegistry())

        async def connect() -> Any:
            return await asyncpg.connect(role_dsn(self.dsn, "twzrd_payer"))

        made = Payer(
            self.payer_pool,
            connect,
            signer or self.signer(),
            chain or self.chain,
            FeePayer(self.fee_payer, config),
            metrics,
            crash=crash,
        )
        return PayerHere(made, metrics, self)

    async def retry(self, claim: Claim, fee: Literal["server", "viewer"] = "server") -> None:
        """As the operator does it."""
        await operate.retry(self.owner, claim.claim_id, "the test says so", fee)

    def slots(self, count: int = 1) -> None:
        """So many slots pass."""
        self.localnet.chain.advance(count)

    async def state(self, claim: Claim | int) -> str:
        """The claim's state in the ledger."""
        claim_id = claim if isinstance(claim, int) else claim.claim_id
        return str(await self.owner.fetchval("select state from claims.claims where claim_id = $1", claim_id))

    async def held_because(self, claim: Claim) -> str | None:
        """Why an operator must look."""
        found: str | None = await self.owner.fetchval(
            "select held_because from claims.claims where claim_id = $1", claim.claim_id
        )
        return found

    def paid(self, viewer_key: int) -> int:
        """What the viewer's wallet holds on the chain, at its newest slot, in base units."""
        return held_base_units(self.localnet.chain, self.wallets[viewer_key].pubkey(), self.mint)

    async def audit(self, claim: Claim) -> list[str]:
        """What was done to the claim, in order."""
        rows = await self.owner.fetch(
            "select action from claims.audit_log where subject = $1 order by audit_id", f"claim {claim.claim_id}"
        )
        return [row["action"] for row in rows]


@dataclass
class PayerHere:
    """A payer by its steps."""

    payer: Payer
    metrics: PayerMetrics
    world: ClaimsWorld

    async def take(self) -> int:
        return await self.payer.intake.step()

    async def look(self) -> int:
        return await self.payer.watch.step()

    async def until(self, ended: Callable[[], Awaitable[bool]], *, slots: int = 4, rounds: int = 200) -> None:
        """Steps and slots until it is so; a bound on both, so that what never ends fails."""
        for _ in range(rounds):
            await self.take()
            await self.look()
            if await ended():
                return
            self.world.slots(slots)
        raise AssertionError(f"not so after {rounds} rounds")

    async def until_confirmed(self, *claims: Claim | int) -> None:
        async def all_confirmed() -> bool:
            return all([await self.world.state(one) == "confirmed" for one in claims])

        await self.until(all_confirmed)


@contextlib.asynccontextmanager
async def claims_world(
    dsn: str, folder: Path, *, source: Source = "mint", nodes: Sequence[str] = ()
) -> AsyncIterator[ClaimsWorld]:
    """dsn: a migrated database of the test's own. nodes: more RPC nodes beside the local cluster."""
    options = LocalnetOptions(folder=folder / "localnet", port=0, slot_ms=0, sync="process")
    async with contextlib.AsyncExitStack() as stack:
        localnet = await stack.enter_async_context(Localnet(options))
        pool = RpcPool([EndpointConfig(url=url, rate_per_s=10_000, burst=10_000) for url in (localnet.url, *nodes)])
        await pool.start(watch=False)
        stack.push_async_callback(pool.close)
        pools = {}
        for role in ("twzrd_web", "twzrd_payer", "twzrd_signer"):
            pools[role] = await asyncpg.create_pool(role_dsn(dsn, role), min_size=0, max_size=8)
            stack.callback(pools[role].terminate)
        owner = await asyncpg.connect(dsn)
        stack.push_async_callback(owner.close)
        authority, fee_payer, mint_key = Keypair(), Keypair(), Keypair()
        world = ClaimsWorld(
            dsn=dsn,
            owner=owner,
            web=pools["twzrd_web"],
            payer_pool=pools["twzrd_payer"],
            signer_pool=pools["twzrd_signer"],
            localnet=localnet,
            chain=RpcChain(pool),
            authority=authority,
            fee_payer=fee_payer,
            mint=mint_key.pubkey(),
            source=source,
        )
        await make_mint(pool, world.fee_payer, world.authority, mint_key)
        world.slots(4)
        yield world


async def make_mint(pool: RpcPool, fee_payer: Keypair, authority: Keypair, mint_key: Keypair) -> None:
    """A mint of no tokens yet, paid by the fee payer, to whom the faucet gives lamports."""
    for key in (fee_payer, authority):
        await pool.call("requestAirdrop", [str(key.pubkey()), 100 * 10**9])
    names = mint.TokenNames("CHAT", "CHAT")
    rent = await pool.call("getMinimumBalanceForRentExemption", [mint.final_bytes(names)])
    payer, chain = fee_payer.pubkey(), RpcChain(pool)
    making = mint.create_mint(payer, mint_key.pubkey(), authority.pubkey(), names, rent)
    recent = await chain.latest_blockhash()
    message = Message.new_with_blockhash(making, payer, Hash.from_string(recent.blockhash))
    assert await chain.send(signing.sign(signing.unsigned(message), fee_payer, authority, mint_key)) is None


async def reconciled(world: ClaimsWorld) -> list[Difference]:
    """What ledger and chain differ in."""
    expected = Expected(
        mint=world.mint,
        authority=world.authority.pubkey(),
        server_fee_payer=world.fee_payer.pubkey(),
        source=world.source,
    )
    world.slots(4)
    return [one async for one in differences(world.owner, world.chain, expected)]
