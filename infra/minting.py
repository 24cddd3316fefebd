"""`twzrd token`: makes the CHAT mint on the cluster of the settings, hands its authority over, shows what it is.

In: settings (nodes, key files). Out: transactions on the chain, seen confirmed. Composition only; the bytes are made in
streams.chain.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.core import RPCException, TransactionExpiredBlockheightExceededError
from solana.rpc.models import TxOpts
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature

from infra import keys
from infra.settings import Settings
from schemas.errors import TwzrdError
from streams.chain import keyfile, mint, signing

GENESIS: Final = {
    "mainnet": "5eykt4UsFv8P8NJdTREpY1vzqKqZKvdpKuc147dw2N9d",
    "devnet": "EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG",
    "testnet": "4uhcVJyU9pJkvQyS88uRDiswHXSCkY3zQawwpjk2NsNY",
}
"""Genesis hashes: what a node is of, whatever its address says. A local cluster has any other."""
AIRDROP_LAMPORTS: Final = 100 * 10**9
FEES_LAMPORTS: Final = 10_000_000
"""Above the rent, for fees of the first claims."""
TIMEOUT_S: Final = 20.0
LOG_LINES: Final = 4


class TokenError(TwzrdError):
    """The mint cannot be made, read or handed over."""


@dataclass(frozen=True, slots=True)
class Created:
    """A mint that is there now; signature None: it was there already."""

    mint: Pubkey
    authority: Pubkey
    fee_payer: Pubkey
    signature: Signature | None
    made: tuple[Path, ...]


@asynccontextmanager
async def node(settings: Settings) -> AsyncIterator[AsyncClient]:
    """The first node of the settings, seen to be of the cluster that they name. Raises TokenError."""
    url = settings.rpc_urls.reveal().split(",")[0].strip()
    async with AsyncClient(url, commitment=Confirmed, timeout=TIMEOUT_S) as client:
        with told("getGenesisHash"):
            genesis = str((await client.get_genesis_hash()).value)
        found = next((name for name, hash_ in GENESIS.items() if hash_ == genesis), "localnet")
        if found != settings.cluster:
            raise TokenError(
                f"the first node of TWZRD_RPC_URLS is of {found}, and TWZRD_CLUSTER is {settings.cluster}; "
                "make them agree"
            )
        yield client


@contextmanager
def told(what: str) -> Iterator[None]:
    """A node's errors as ours. An address is never told: it may hold a provider's key."""
    try:
        yield
    except RPCException as error:
        said = error.args[0] if error.args else error
        logs = getattr(getattr(said, "data", None), "logs", None) or []
        tail = "; ".join(logs[-LOG_LINES:])
        raise TokenError(
            f"{what}: the node says: {getattr(said, 'message', said)}{f' ({tail})' if tail else ''}"
        ) from None
    except SolanaRpcException as error:
        cause = type(error.__cause__).__name__
        raise TokenError(f"{what}: no answer of the first node of TWZRD_RPC_URLS ({cause}); does it run?") from None
    except TransactionExpiredBlockheightExceededError as error:
        raise TokenError(f"{what}: {error}; run it again") from None
    except ValueError as error:
        raise TokenError(f"{what}: the node's answer cannot be read: {error}") from None


async def create(settings: Settings, names: mint.TokenNames, mint_file: Path, *, freeze: bool) -> Created:
    """Make the mint, and key files that are not there yet, the marker secret's among them. Made already: nothing
    happens. Raises TokenError, KeyFileError."""
    async with node(settings) as client:
        payer, payer_made = keyfile.read_or_make(settings.fee_payer_path, "fee payer")
        keyfile.write_public(settings.fee_payer_path, payer.pubkey())
        authority, authority_made = keyfile.read_or_make(settings.mint_authority_path, "mint authority")
        mint_key, mint_made = keyfile.read_or_make(mint_file, "mint")
        address, signature = mint_key.pubkey(), None
        is_new = await state(client, address) is None
        # With the other keys, so that one ceremony copies them all. Of a mint that is there something may have been
        # signed already: whether a secret that is away was lost then, only `twzrd sign` can tell.
        wanted = is_new and settings.marker_secret_file is None
        marker_made = wanted and keys.init_marker_secret(settings.marker_secret_path)
        made = tuple(
            path
            for path, new in (
                (settings.fee_payer_path, payer_made),
                (settings.mint_authority_path, authority_made),
                (mint_file, mint_made),
                (settings.marker_secret_path, marker_made),
            )
            if new
        )
        if is_new:
            with told("getMinimumBalanceForRentExemption"):
                rent = (await client.get_minimum_balance_for_rent_exemption(mint.final_bytes(names))).value
            await _fund(settings, client, payer.pubkey(), rent + FEES_LAMPORTS)
            freezer = authority.pubkey() if freeze else None
            making = mint.create_mint(payer.pubkey(), address, authority.pubkey(), names, rent, freezer)
            signature = await _send(client, making, payer, authority, mint_key)
        return Created(address, authority.pubkey(), payer.pubkey(), signature, made)


async def hand_over(settings: Settings, address: Pubkey, to: Pubkey | None) -> Signature:
    """Another mint authority; None: nobody, ever. Raises TokenError."""
    async with node(settings) as client:
        found = await _existing(client, address)
        payer = keyfile.read(settings.fee_payer_path, "fee payer")
        authority = keyfile.read(settings.mint_authority_path, "mint authority")
        if found.mint_authority != authority.pubkey():
            raise TokenError(
                f"the authority of {address} is {found.mint_authority}, and {settings.mint_authority_path} holds "
                f"{authority.pubkey()}; name its own file with TWZRD_MINT_AUTHORITY_FILE"
            )
        return await _send(client, [mint.hand_over(address, authority.pubkey(), to)], payer, authority)


async def inspect(settings: Settings, address: Pubkey) -> mint.MintState:
    """What the mint's account says. Raises TokenError."""
    async with node(settings) as client:
        return await _existing(client, address)


async def state(client: AsyncClient, address: Pubkey) -> mint.MintState | None:
    """What the mint's account says; None where there is none. Raises TokenError, AccountDataError."""
    with told("getAccountInfo"):
        account = (await client.get_account_info(address)).value
    return None if account is None else mint.read_mint(account.owner, bytes(account.data))


async def _existing(client: AsyncClient, address: Pubkey) -> mint.MintState:
    found = await state(client, address)
    if found is None:
        raise TokenError(f"there is no account {address} on this cluster; make the mint with: twzrd token create")
    return found


async def _fund(settings: Settings, client: AsyncClient, payer: Pubkey, lamports: int) -> None:
    with told("getBalance"):
        balance = (await client.get_balance(payer)).value
    if balance >= lamports:
        return
    if settings.cluster != "localnet":
        faucet = " or use the cluster's faucet" if settings.cluster != "mainnet" else ""
        raise TokenError(
            f"the fee payer {payer} has {balance} lamports and needs {lamports}; send it {lamports - balance}{faucet}"
        )
    with told("requestAirdrop"):
        signature = (await client.request_airdrop(payer, AIRDROP_LAMPORTS)).value
        await client.confirm_transaction(signature, sleep_seconds=0.1)


async def _send(client: AsyncClient, instructions: list[Instruction], payer: Keypair, *others: Keypair) -> Signature:
    """Sent and seen confirmed. Raises TokenError."""
    with told("getLatestBlockhash"):
        latest = (await client.get_latest_blockhash()).value
    message = Message.new_with_blockhash(instructions, payer.pubkey(), latest.blockhash)
    # One key may have two offices; it signs once.
    keys = {one.pubkey(): one for one in (payer, *others)}
    transaction = signing.sign(signing.unsigned(message), *keys.values())
    with told("sendTransaction"):
        options = TxOpts(preflight_commitment=Confirmed)
        signature = (await client.send_raw_transaction(transaction, options)).value
    with told("getSignatureStatuses"):
        seen = await client.confirm_transaction(
            signature, Confirmed, 0.2, last_valid_block_height=latest.last_valid_block_height
        )
    status = seen.value[0]
    if status is not None and status.err is not None:
        raise TokenError(f"transaction {signature} landed with an error: {status.err}")
    return signature
