"""`twzrd claims`: what an operator asks and switches, as the database's owner.

In: settings. Out: rows for the command line.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry
from solders.pubkey import Pubkey

from claim_api.ledger import operate
from claim_api.ledger.moves import Moves
from claim_api.ledger.reconcile import Expected, differences
from claim_api.payer.config import PayerConfig
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer
from claim_api.payer.rent import Rent
from claim_api.signer.process import SignerClient
from infra import compose, databases, paying
from infra.settings import Settings
from streams.chain import keyfile


@asynccontextmanager
async def _owner(settings: Settings) -> AsyncIterator[Any]:
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        async with databases.connected(dsn) as connection:
            yield connection


async def claims(settings: Settings, state: str | None, before_id: int | None, limit: int) -> list[dict[str, Any]]:
    """See claim_api.ledger.operate, as of the next five."""
    async with _owner(settings) as connection:
        return await operate.claims(connection, state, before_id, limit)


async def claim(settings: Settings, claim_id: int) -> dict[str, Any]:
    async with _owner(settings) as connection:
        return await operate.claim(connection, claim_id)


async def retry(settings: Settings, claim_id: int, note: str) -> None:
    async with _owner(settings) as connection:
        await operate.retry(connection, claim_id, note, settings.claim_fee)


async def freeze(settings: Settings, because: str | None) -> None:
    async with _owner(settings) as connection:
        await operate.freeze(connection, because)


async def set_cap(settings: Settings, base_units: int | None) -> None:
    async with _owner(settings) as connection:
        await operate.set_cap(connection, base_units)


async def wallet_wait(settings: Settings, change_wait_s: int | None) -> int:
    """Seconds that a change of wallet waits, set to change_wait_s before where that is given."""
    async with _owner(settings) as connection:
        if change_wait_s is not None:
            await operate.set_wallet_wait(connection, change_wait_s)
        return await operate.wallet_wait(connection)


async def switches(settings: Settings) -> dict[str, Any]:
    async with _owner(settings) as connection:
        return await operate.switches(connection)


async def reconcile(settings: Settings, starting_supply_base_units: int) -> list[dict[str, Any]]:
    """Differences between ledger and chain. Asks the signer for the authority where it runs, else reads its key."""
    expected = Expected(
        mint=paying.mint_of(settings),
        authority=await _authority(settings),
        server_fee_payer=paying.fee_payer_address(settings),
        source=settings.claim_source,
        starting_supply_base_units=starting_supply_base_units,
    )
    async with _owner(settings) as connection, paying.chain_of(settings) as chain:
        found = differences(connection, chain, expected)
        return [{"claim_id": one.claim_id, "what": one.what} async for one in found]


async def reclaim(settings: Settings, after_s: float) -> tuple[int, int]:
    """(markers found gone, markers whose rent was asked back)."""
    keypair = keyfile.read(settings.fee_payer_path, "fee payer")
    mint = paying.mint_of(settings)
    config = PayerConfig(mint=mint, authority=mint, source=settings.claim_source)  # rent needs no authority
    with paying.role_database(settings, paying.PAYER_ROLE, settings.payer_database_url) as dsn:
        async with paying.pooled(dsn, "twzrd claims reclaim") as pool, paying.chain_of(settings) as chain:
            metrics = PayerMetrics(CollectorRegistry())
            return await Rent(Moves(pool), chain, FeePayer(keypair, config), metrics, after_s).step()


async def _authority(settings: Settings) -> Pubkey:
    if settings.signer_socket_path.exists():
        return Pubkey.from_string((await paying.signer_status(SignerClient(settings.signer_socket_path))).authority)
    return keyfile.read(settings.mint_authority_path, "mint authority").pubkey()
