"""`twzrd sign` and `twzrd pay`: signer and payer put together from the settings, each under its own database role.

In: settings. Out: processes that run until asked to stop. The signer reads the authority's key and the marker secret,
of the fee payer it knows the address only; the payer reads the fee payer's key and no other.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import asyncpg
from prometheus_client import CollectorRegistry
from solders.pubkey import Pubkey

from claim_api.chain.rpc import RpcChain
from claim_api.ledger.steps import Crash, no_crash
from claim_api.payer.config import Pace, PayerConfig
from claim_api.payer.door import serving_door
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from claim_api.payer.process import Payer
from claim_api.retrying import Backoff
from claim_api.signer import opening
from claim_api.signer.books import Binding
from claim_api.signer.checks import Checks
from claim_api.signer.key import FileKey
from claim_api.signer.last_signed import LastSigned
from claim_api.signer.making import SignerConfig
from claim_api.signer.process import SignerClient, SignerCounts, serving_signer
from claim_api.signer.protocol import AskStatus, SignerStatus
from claim_api.signer.service import Signer
from claim_api.unix_socket import SocketError
from claim_api.wallets.siws import verify_binding
from infra import compose, databases, keys
from infra.fit_mint import wait_until_fit
from infra.rpc_nodes import rpc_nodes
from infra.settings import Settings
from infra.stopping import stop_on_signals
from schemas.errors import TwzrdError
from streams.chain import keyfile
from streams.chain.rpc.metrics import PoolMetrics
from streams.chain.rpc.pool import RpcPool

_log: Final = logging.getLogger(__name__)
SIGNER_ROLE: Final = "twzrd_signer"
PAYER_ROLE: Final = "twzrd_payer"
TIMEOUT_S: Final = 10.0
SIGNER_PATIENCE_S: Final = 10.0
"""How long the payer waits at its start for a signer that may be starting, too."""


class PayingError(TwzrdError):
    """Payments cannot be composed this way; the message names the setting and the mend."""


async def sign(settings: Settings, metrics_port: int | None, *, crash: Crash = no_crash) -> None:
    """The signer, until asked to stop. crash: tests only."""
    stop = stop_on_signals()
    mint = mint_of(settings)
    registry, refused = CollectorRegistry(), Counter[str]()
    key = FileKey.read(settings.mint_authority_path, "mint authority")
    fee_payer = fee_payer_address(settings)
    if key.public_key == fee_payer:
        raise PayingError(
            "the mint authority and the fee payer are one key; the payer must not hold the authority's: make another"
        )
    with role_database(settings, SIGNER_ROLE, settings.signer_database_url) as dsn:
        async with pooled(dsn, "twzrd sign") as pool, chain_of(settings, registry) as chain:
            await opening.check_role(pool)
            secret = await _marker_secret(settings, pool)
            await opening.check_secret(pool, secret, fee_payer)
            verify = partial(_verify, domain_of(settings), settings.cluster)
            config = SignerConfig(
                mint=mint,
                source=settings.claim_source,
                server_fee_payer=fee_payer,
                marker_secret=secret,
                price_micro_lamports=settings.priority_fee_micro_lamports,
            )
            checks = Checks(str(mint), secret, fee_payer, verify)
            last_signed = LastSigned(settings.last_signed_path)
            signer = Signer(pool, chain, key, checks, config, last_signed=last_signed, crash=crash)
            registry.register(SignerCounts(signer, refused))
            with compose.metrics_served(registry, metrics_port):
                async with serving_signer(signer, settings.signer_socket_path, refused):
                    [status] = await signer.answer(AskStatus())
                    fields = {"authority": str(key.public_key), "mint": str(mint)}
                    _log.info("the signer answers", extra={"fields": fields})
                    if isinstance(status, SignerStatus) and status.cap_left_base_units is None:
                        _log.warning("no daily cap is set; set one with: twzrd claims cap")
                    await stop.wait()


async def pay(
    settings: Settings, metrics_port: int | None, *, pace: Pace | None = None, crash: Crash = no_crash
) -> None:
    """The payer, until asked to stop. crash: tests only."""
    stop = stop_on_signals()
    registry, refused = CollectorRegistry(), Counter[str]()
    keypair = keyfile.read(settings.fee_payer_path, "fee payer")
    signer = SignerClient(settings.signer_socket_path)
    with (
        role_database(settings, PAYER_ROLE, settings.payer_database_url) as dsn,
        compose.metrics_served(registry, metrics_port),
    ):
        async with pooled(dsn, "twzrd pay") as pool, chain_of(settings, registry) as chain:
            status = await _started(signer, stop)
            if status is None:
                return
            _agree(settings, status, str(keypair.pubkey()))
            mint, authority = mint_of(settings), Pubkey.from_string(status.authority)
            await wait_until_fit(chain, mint, authority if settings.claim_source == "mint" else None, stop)
            config = PayerConfig(
                mint=mint,
                authority=authority,
                source=settings.claim_source,
                price_micro_lamports=settings.priority_fee_micro_lamports,
                pace=pace or Pace(),
            )
            connect = partial(_listening, dsn)
            payer = Payer(pool, connect, signer, chain, FeePayer(keypair, config), PayerMetrics(registry), crash=crash)
            async with serving_door(payer.door, settings.payer_socket_path, refused):
                fields = {"fee_payer": str(keypair.pubkey()), "mint": settings.mint}
                _log.info("the payer runs", extra={"fields": fields})
                await payer.run(stop)


async def signer_status(signer: SignerClient) -> SignerStatus:
    """How the signer stands. Raises SocketError, PayingError."""
    [status] = await signer.ask(AskStatus())
    if not isinstance(status, SignerStatus):
        raise PayingError(f"the signer does not say how it stands: {status}")
    return status


async def _started(signer: SignerClient, stop: asyncio.Event) -> SignerStatus | None:
    """The same, when it answers; None where we are to stop before. Raises SocketError after SIGNER_PATIENCE_S."""
    backoff, loop = Backoff(), asyncio.get_running_loop()
    until_s = loop.time() + SIGNER_PATIENCE_S
    while not stop.is_set():
        try:
            return await signer_status(signer)
        except SocketError:
            if loop.time() > until_s:
                raise
            await backoff.wait(stop)
    return None


def _agree(settings: Settings, status: SignerStatus, fee_payer: str) -> None:
    for name, ours, theirs in (
        ("mint", settings.mint, status.mint),
        ("source", settings.claim_source, status.source),
        ("fee payer", fee_payer, status.server_fee_payer),
    ):
        if ours != theirs:
            raise PayingError(f"the payer's {name} is {ours}, the signer's {theirs}; give both the same settings")


def mint_of(settings: Settings) -> Pubkey:
    """The configured mint. Raises PayingError."""
    try:
        return Pubkey.from_string(settings.mint)
    except ValueError:
        raise PayingError(
            f"TWZRD_MINT={settings.mint!r} is no mint's address; make one with: twzrd token create"
        ) from None


def fee_payer_address(settings: Settings) -> Pubkey:
    """The public half of the fee payer's key, from the file beside the key where there is one (<key>.pub, so that the
    signer's user need not be able to read the key), else from the key. Raises PayingError, KeyFileError."""
    public = keyfile.public_path(settings.fee_payer_path)
    if not public.exists():
        return keyfile.read(settings.fee_payer_path, "fee payer").pubkey()
    try:
        return Pubkey.from_string(public.read_text(encoding="ascii").strip())
    except (OSError, ValueError) as error:
        raise PayingError(f"{public} holds no address: {error}; it must be the fee payer's public key") from error


def domain_of(settings: Settings) -> str:
    """The site that wallets are bound on, as their signed messages name it. Raises PayingError."""
    if settings.public_url:
        return urlsplit(settings.public_url).netloc
    if settings.api_port == 0:
        raise PayingError("the API takes a free port, so nobody knows its address; set TWZRD_PUBLIC_URL")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.api_host, settings.api_host)
    return f"[{host}]:{settings.api_port}" if ":" in host else f"{host}:{settings.api_port}"


@contextlib.contextmanager
def role_database(settings: Settings, role: str, given: str) -> Iterator[str]:
    """The database as that role: the setting's, or made from the owner's."""
    if given:
        yield given
        return
    with compose.database(settings) as dsn:
        yield databases.role_dsn(dsn, role)


@contextlib.asynccontextmanager
async def pooled(dsn: str, name: str) -> AsyncIterator[Any]:
    """A small pool, connected. Raises DatabaseError."""
    try:
        pool = await asyncpg.create_pool(
            dsn,
            min_size=1,
            max_size=8,
            timeout=TIMEOUT_S,
            command_timeout=TIMEOUT_S,
            server_settings={"application_name": name},
        )
    except (OSError, asyncpg.PostgresError) as error:
        raise databases.DatabaseError(
            f"{name}: the database cannot be reached: {error}; is it migrated (twzrd db migrate), and the URL right?"
        ) from error
    try:
        yield pool
    finally:
        pool.terminate()


@contextlib.asynccontextmanager
async def chain_of(settings: Settings, registry: CollectorRegistry | None = None) -> AsyncIterator[RpcChain]:
    """The cluster of the settings. registry: where the numbers of its nodes go."""
    pool = RpcPool(rpc_nodes(settings))
    if registry is not None:
        registry.register(PoolMetrics(pool))
    await pool.start()
    try:
        yield RpcChain(pool)
    finally:
        await pool.close()


async def _listening(dsn: str) -> Any:
    return await asyncpg.connect(dsn, timeout=TIMEOUT_S, server_settings={"application_name": "twzrd pay"})


async def _marker_secret(settings: Settings, pool: Any) -> bytes:
    """The secret; made where nothing was signed yet and the settings name no file of their own."""
    path = settings.marker_secret_path
    if settings.marker_secret_file is None and not path.exists() and not await opening.has_signed(pool):
        keys.init_marker_secret(path)
        _log.warning("made the marker secret %s; back it up: without it a claim could be paid twice", path)
    return keys.read_marker_secret(path)


def _verify(domain: str, chain: str, binding: Binding, identity: str) -> None:
    verify_binding(binding.message, binding.signature, binding.wallet, identity, domain, chain)
