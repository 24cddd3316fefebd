"""The Python client that the field uses finds in the local cluster the node that it expects."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed, Finalized, Processed
from solana.rpc.core import RPCException
from solana.rpc.models import TokenAccountOpts, TxOpts
from solana.rpc.websocket_api import SolanaWsClient
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.rpc.errors import SendTransactionPreflightFailureMessage
from solders.rpc.responses import SignatureNotification, SlotNotification
from solders.signature import Signature
from solders.transaction_status import TransactionConfirmationStatus

from infra.localnet import Localnet, LocalnetOptions
from streams.chain.payment import read_payment
from tests.localnet_client import SOL, Issuer, client


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Localnet]:
    """A cluster whose slots go on by themselves, as fast as they may."""
    async with Localnet(LocalnetOptions(folder=tmp_path / "localnet", port=0, slot_ms=10)) as localnet:
        yield localnet


@pytest.fixture
async def solana(running: Localnet) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(running.url, commitment=Confirmed) as made:
        yield made


@pytest.fixture
async def issuer(running: Localnet) -> AsyncIterator[Issuer]:
    async with client(running.url) as node:
        yield await Issuer.make(node)


async def test_a_claim_from_send_to_finalized(solana: AsyncClient, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    transaction = await issuer.paying(terms)
    options = TxOpts(skip_confirmation=True, preflight_commitment=Processed)
    signature = (await solana.send_raw_transaction(transaction, options)).value
    assert signature == read_payment(transaction, terms).signature
    seen = await solana.confirm_transaction(signature, Finalized, sleep_seconds=0.01)
    status = seen.value[0]
    assert status is not None
    assert status.err is None
    assert status.confirmation_status == TransactionConfirmationStatus.Finalized
    assert (await solana.get_token_account_balance(terms.token_account)).value.amount == "8000000000"
    assert (await solana.get_token_supply(terms.mint)).value.ui_amount_string == "8"
    shown = (await solana.get_transaction(signature, "json", max_supported_transaction_version=0)).value
    assert shown is not None
    meta = shown.transaction.meta
    assert meta is not None
    assert meta.fee == 10_000
    balances = meta.post_token_balances
    assert balances is not None
    assert balances[0].owner == terms.wallet
    parsed = (await solana.get_transaction(signature, "jsonParsed")).value
    assert parsed is not None
    listed = await solana.get_signatures_for_address(terms.token_account)
    assert [one.signature for one in listed.value] == [signature]
    owned = await solana.get_token_accounts_by_owner_json_parsed(terms.wallet, TokenAccountOpts(mint=terms.mint))
    assert [one.pubkey for one in owned.value] == [terms.token_account]


async def test_a_refused_one_comes_with_its_logs(solana: AsyncClient, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    options = TxOpts(preflight_commitment=Processed)
    await solana.send_raw_transaction(await issuer.paying(terms), options)
    second = await issuer.paying(issuer.terms(1, amount_base_units=1))
    with pytest.raises(RPCException) as refused:
        await solana.send_raw_transaction(second, options)
    message = refused.value.args[0]
    assert isinstance(message, SendTransactionPreflightFailureMessage)
    assert any("already in use" in line for line in message.data.logs or [])


async def test_what_a_wallet_asks(solana: AsyncClient, issuer: Issuer) -> None:
    wallet = Keypair().pubkey()
    signature = (await solana.request_airdrop(wallet, 2 * SOL)).value
    await solana.confirm_transaction(signature, sleep_seconds=0.01)
    assert (await solana.get_balance(wallet)).value == 2 * SOL
    account = (await solana.get_account_info(issuer.mint.pubkey())).value
    assert account is not None
    assert account.data[44] == 9
    assert (await solana.get_account_info_json_parsed(issuer.mint.pubkey())).value is not None
    assert (await solana.get_account_info(Pubkey.new_unique())).value is None
    latest = (await solana.get_latest_blockhash()).value
    height = (await solana.get_block_height()).value
    assert latest.last_valid_block_height >= height
    assert (await solana.get_epoch_info()).value.slots_in_epoch == 432_000
    assert (await solana.get_slot()).value >= 1
    assert (await solana.get_version()).value.solana_core
    assert (await solana.get_recent_prioritization_fees()).value
    assert (await solana.get_signature_statuses([Signature.new_unique()] * 256)).value == [None] * 256
    assert await solana.is_connected()


async def test_notifications_reach_it(running: Localnet, issuer: Issuer) -> None:
    transaction = await issuer.paying(issuer.terms(1))
    signature = Signature.from_bytes(transaction[1:65])
    async with asyncio.timeout(20), SolanaWsClient(running.ws_url) as socket:
        await socket.slot_subscribe()
        subscription = await socket.signature_subscribe(signature=signature, commitment=Confirmed)
        await issuer.client.send(transaction)
        kinds = set()
        while not isinstance(told := await socket.recv(), SignatureNotification):
            kinds.add(type(told))
        assert kinds == {SlotNotification}
        assert told.subscription == subscription.subscription_id
        assert told.result.value.err is None
