"""What a client gets in answer: results, errors and bounds as of a real node."""

import base64
from typing import Any

import pytest
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID

from infra.localnet import Localnet, base58
from streams.chain import signing
from tests.localnet_client import PROCESSED, SOL, Client, Issuer
from tests.payments import Pieces


async def paying(node: Client, payer: Keypair, to: Pubkey, lamports: int) -> bytes:
    moving = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)
    return await node.signed([transfer(moving)], payer)


@pytest.fixture
async def payer(node: Client) -> Keypair:
    made = Keypair()
    await node.get("requestAirdrop", str(made.pubkey()), 10 * SOL)
    return made


async def test_a_failing_preflight_says_error_logs_and_units(node: Client, payer: Keypair) -> None:
    error = (await node.send(await paying(node, payer, Pubkey.new_unique(), 100 * SOL)))["error"]
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert any("insufficient lamports" in line for line in error["data"]["logs"])
    assert error["data"]["unitsConsumed"] > 0


async def test_a_payer_without_lamports_is_refused(node: Client) -> None:
    error = (await node.send(await paying(node, Keypair(), Pubkey.new_unique(), 1)))["error"]
    assert error["data"]["err"] == "AccountNotFound"
    assert error["message"].endswith("Attempt to debit an account but found no record of a prior credit.")


async def test_a_wrong_signature_is_refused_and_never_lands(node: Client, payer: Keypair) -> None:
    parsed = VersionedTransaction.from_bytes(await paying(node, payer, Pubkey.new_unique(), SOL))
    forged = bytes(VersionedTransaction.populate(parsed.message, [Keypair().sign_message(b"another message")]))
    error = (await node.send(forged))["error"]
    assert (error["code"], error["message"]) == (-32003, "Transaction signature verification failure")
    skipped = await node.send(forged, skipPreflight=True)
    assert await node.status(skipped["result"]) is None


async def test_a_transaction_lands_once(node: Client, payer: Keypair) -> None:
    to = Pubkey.new_unique()
    transaction = await paying(node, payer, to, SOL)
    signature = (await node.send(transaction))["result"]
    assert (await node.send(transaction))["error"]["data"]["err"] == "AlreadyProcessed"
    assert (await node.send(transaction, skipPreflight=True))["result"] == signature
    assert (await node.get("getBalance", str(to), PROCESSED))["value"] == SOL


async def test_a_failed_transaction_lands_with_its_error_and_its_fee(
    localnet: Localnet, node: Client, payer: Keypair
) -> None:
    transaction = await paying(node, payer, Pubkey.new_unique(), 100 * SOL)
    signature = (await node.send(transaction, skipPreflight=True))["result"]
    assert (await node.status(signature))["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert (await node.get("getBalance", str(payer.pubkey()), PROCESSED))["value"] == 10 * SOL - 5_000
    localnet.chain.advance(3)
    shown = await node.get("getTransaction", signature)
    assert shown["meta"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert shown["meta"]["fee"] == 5_000


async def test_base58_is_the_encoding_where_none_is_named(node: Client, payer: Keypair) -> None:
    transaction = await paying(node, payer, Pubkey.new_unique(), SOL)
    answer = await node.ask("sendTransaction", base58.encode(transaction), {"preflightCommitment": "processed"})
    assert answer["result"] == str(VersionedTransaction.from_bytes(transaction).signatures[0])


@pytest.mark.parametrize(
    ("method", "params", "code", "said"),
    [
        ("nonsuch", [], -32601, "Method not found"),
        ("getBalance", [], -32602, "parameter 1 must be an address"),
        ("getBalance", ["nonsense"], -32602, "is no address"),
        ("getBalance", [str(Pubkey.default()), {"commitment": "soon"}], -32602, "unknown variant `soon`"),
        ("getBalance", [str(Pubkey.default()), 7], -32602, "parameter 2 must be an object"),
        ("getSlot", [{"minContextSlot": 10**9}], -32016, "Minimum context slot has not been reached"),
        ("getSlot", [{"minContextSlot": -1}], -32602, "is no slot"),
        ("getSignatureStatuses", [[str(Signature.default())] * 257], -32602, "max 256"),
        ("getSignatureStatuses", [["x"]], -32602, "is no signature"),
        ("getMultipleAccounts", [[str(Pubkey.default())] * 101], -32602, "max 100"),
        ("getTransaction", [str(Signature.default()), PROCESSED], -32602, "below `confirmed`"),
        ("getSignaturesForAddress", [str(Pubkey.default()), {"limit": 1001}], -32602, "Invalid limit"),
        ("getTokenAccountBalance", [str(Pubkey.new_unique())], -32602, "could not find account"),
        ("getTokenSupply", [str(Pubkey.new_unique())], -32602, "could not find account"),
        ("getTokenAccountsByOwner", [str(Pubkey.default()), {}], -32602, "is no address"),
        ("sendTransaction", ["!", {"encoding": "base64"}], -32602, "invalid base64 encoding"),
        ("sendTransaction", ["0"], -32602, "invalid base58 encoding"),
        ("sendTransaction", ["AAAA", {"encoding": "base64"}], -32602, "failed to deserialize"),
        ("sendTransaction", ["A" * 1648, {"encoding": "base64"}], -32602, "too large: 1236 bytes"),
        ("sendTransaction", ["AAAA", {"encoding": "hex"}], -32602, "unsupported encoding"),
        ("requestAirdrop", [str(Pubkey.default()), 0], -32602, "the faucet gives"),
        ("getMinimumBalanceForRentExemption", [2**40], -32602, "at most"),
        ("twzrd_setLag", [1], -32601, "Method not found"),
    ],
)
async def test_what_cannot_be_answered_is_an_error(
    node: Client, method: str, params: list[Any], code: int, said: str
) -> None:
    error = await node.error(method, *params)
    assert error["code"] == code
    assert said in error["message"]


async def test_requests_that_are_none(localnet: Localnet, node: Client) -> None:
    async def answer(body: bytes) -> Any:
        async with node.session.post(localnet.url, data=body) as got:
            return await got.json()

    assert (await answer(b"{"))["error"]["code"] == -32700
    assert (await answer(b"[]"))["error"]["code"] == -32600
    assert (await answer(b"7"))["error"]["code"] == -32600
    too_many = [{"jsonrpc": "2.0", "id": 1, "method": "getSlot"}] * (localnet.options.max_batch + 1)
    assert "it may be 1 to 512" in (await node.post(too_many))["error"]["message"]
    async with node.session.post(localnet.url, data=b" " * (localnet.options.max_request_bytes + 1)) as got:
        assert got.status == 413
    assert localnet.counters.refused_requests_total == 3
    async with node.session.get(localnet.url + "/health") as got:
        assert await got.text() == "ok"
    async with node.session.get(localnet.url) as got:
        assert got.status == 405


async def test_a_batch_is_answered_in_its_order(node: Client, payer: Keypair) -> None:
    signatures = []
    for _ in range(3):
        signatures.append((await node.send(await paying(node, payer, Pubkey.new_unique(), SOL)))["result"])
    unknown = [str(Signature.new_unique()) for _ in range(253)]
    answers = await node.post(
        [
            {"jsonrpc": "2.0", "id": 7, "method": "getSignatureStatuses", "params": [[*signatures, *unknown]]},
            {"jsonrpc": "2.0", "id": 8, "method": "nonsuch"},
            {"jsonrpc": "2.0", "id": "x", "method": "getHealth"},
        ]
    )
    assert [one["id"] for one in answers] == [7, 8, "x"]
    statuses = answers[0]["result"]["value"]
    assert [one is not None for one in statuses] == [True] * 3 + [False] * 253
    assert answers[1]["error"]["code"] == -32601
    assert answers[2]["result"] == "ok"


async def test_statuses_older_than_the_cache_want_their_history_searched(
    localnet: Localnet, node: Client, payer: Keypair
) -> None:
    signature = (await node.send(await paying(node, payer, Pubkey.new_unique(), SOL)))["result"]
    localnet.chain.advance(150)
    assert (await node.get("getSignatureStatuses", [signature]))["value"] == [None]
    assert (await node.status(signature))["confirmationStatus"] == "finalized"


async def test_a_simulation_changes_nothing(node: Client, payer: Keypair) -> None:
    to = Pubkey.new_unique()
    transaction = await paying(node, payer, to, SOL)
    config = {"encoding": "base64", "commitment": "processed", "sigVerify": True}
    wanted = {**config, "accounts": {"encoding": "base64", "addresses": [str(to)]}}
    found = (await node.get("simulateTransaction", base64.b64encode(transaction).decode(), wanted))["value"]
    assert found["err"] is None
    assert found["unitsConsumed"] == 150
    assert found["accounts"][0]["lamports"] == SOL
    assert (await node.get("getBalance", str(to), PROCESSED))["value"] == 0
    message = VersionedTransaction.from_bytes(transaction).message
    assert isinstance(message, Message)
    unsigned = signing.unsigned(message)
    text = base64.b64encode(unsigned).decode()
    assert (await node.error("simulateTransaction", text, config))["code"] == -32003
    replaced = await node.get("simulateTransaction", text, {"encoding": "base64", "replaceRecentBlockhash": True})
    assert replaced["value"]["err"] is None
    assert replaced["value"]["replacementBlockhash"]["lastValidBlockHeight"] > 150


async def test_accounts_in_every_encoding(localnet: Localnet, node: Client, issuer: Issuer) -> None:
    terms = issuer.terms(1)
    await node.send(await issuer.paying(terms))
    localnet.chain.advance(3)
    parsed = await node.get("getAccountInfo", str(terms.token_account), {"encoding": "jsonParsed"})
    data = parsed["value"]["data"]
    assert data["program"] == "spl-token-2022"
    assert data["parsed"]["type"] == "account"
    assert data["parsed"]["info"]["owner"] == str(terms.wallet)
    assert data["parsed"]["info"]["tokenAmount"] == {
        "amount": "8000000000",
        "decimals": 9,
        "uiAmount": 8.0,
        "uiAmountString": "8",
    }
    mint = await node.get("getAccountInfo", str(terms.mint), {"encoding": "jsonParsed"})
    assert mint["value"]["data"]["parsed"]["info"]["supply"] == "8000000000"
    raw = await node.get("getAccountInfo", str(terms.token_account), {"encoding": "base64"})
    whole = base64.b64decode(raw["value"]["data"][0])
    assert len(whole) == raw["value"]["space"] == 170
    sliced = {"encoding": "base58", "dataSlice": {"offset": 0, "length": 32}}
    piece = await node.get("getAccountInfo", str(terms.token_account), sliced)
    assert base58.decode(piece["value"]["data"][0]) == whole[:32]
    assert (await node.error("getAccountInfo", str(terms.token_account)))["code"] == -32600
    for chosen in ({"mint": str(terms.mint)}, {"programId": str(TOKEN_2022_PROGRAM_ID)}):
        found = await node.get("getTokenAccountsByOwner", str(terms.wallet), chosen, {"encoding": "jsonParsed"})
        assert [one["pubkey"] for one in found["value"]] == [str(terms.token_account)]
    both = await node.get("getMultipleAccounts", [str(terms.mint), str(Pubkey.new_unique())], {"encoding": "base64"})
    assert [one is not None for one in both["value"]] == [True, False]


async def test_history_of_an_address_is_told_in_pages(localnet: Localnet, node: Client, payer: Keypair) -> None:
    to = Pubkey.new_unique()
    sent = []
    for lamports in range(SOL, SOL + 5):
        sent.append((await node.send(await paying(node, payer, to, lamports)))["result"])
        localnet.chain.advance()
    localnet.chain.advance(3)
    newest_first = sent[::-1]
    found = await node.get("getSignaturesForAddress", str(to))
    assert [one["signature"] for one in found] == newest_first
    assert all(one["err"] is None and one["confirmationStatus"] == "finalized" for one in found)
    page = await node.get("getSignaturesForAddress", str(to), {"limit": 2, "before": newest_first[1]})
    assert [one["signature"] for one in page] == newest_first[2:4]
    since = await node.get("getSignaturesForAddress", str(to), {"until": newest_first[2]})
    assert [one["signature"] for one in since] == newest_first[:2]


async def test_fees_rent_and_the_cluster(node: Client, payer: Keypair) -> None:
    transaction = VersionedTransaction.from_bytes(await paying(node, payer, Pubkey.new_unique(), 1))
    message = base64.b64encode(bytes(transaction.message)).decode()
    assert (await node.get("getFeeForMessage", message, PROCESSED))["value"] == 5_000
    assert await node.get("getMinimumBalanceForRentExemption", 0) == 890_880
    assert {one["prioritizationFee"] for one in await node.get("getRecentPrioritizationFees", [])} == {0}
    epoch = await node.get("getEpochInfo", PROCESSED)
    assert epoch["absoluteSlot"] == epoch["blockHeight"] == await node.get("getSlot", PROCESSED)
    assert await node.get("getHealth") == "ok"


async def test_transactions_of_version_0_need_a_client_that_knows_them(
    localnet: Localnet, node: Client, issuer: Issuer
) -> None:
    terms = issuer.terms(1)
    message = Pieces.of(terms).message(0)
    blockhash = await node.blockhash()
    assert isinstance(message, MessageV0)
    fresh = MessageV0(message.header, message.account_keys, blockhash, message.instructions, [])
    transaction = signing.sign(signing.unsigned(fresh), issuer.payer, issuer.authority)
    signature = (await node.send(transaction))["result"]
    localnet.chain.advance(3)
    assert (await node.error("getTransaction", signature))["code"] == -32015
    shown = await node.get("getTransaction", signature, {"maxSupportedTransactionVersion": 0})
    assert shown["version"] == 0
    assert shown["meta"]["postTokenBalances"][0]["uiTokenAmount"]["amount"] == "8000000000"


async def test_a_full_journal_takes_no_more(localnet: Localnet, node: Client, payer: Keypair) -> None:
    transaction = await paying(node, payer, Pubkey.new_unique(), SOL)
    localnet.chain.journal.max_bytes = 0
    error = (await node.send(transaction))["error"]
    assert "journal is full; start it with another --dir" in error["message"]
    await node.send(transaction, skipPreflight=True)
    assert localnet.counters.transactions_dropped_total == 1
