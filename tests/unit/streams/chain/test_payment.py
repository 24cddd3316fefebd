"""The one shape of a payment: what is read of a good one, and how the first thing that differs is named."""

from collections.abc import Callable
from typing import Any

import pytest
from solders.instruction import AccountMeta
from solders.keypair import Keypair
from solders.message import MessageAddressTableLookup, MessageHeader, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer

from streams.chain import signing
from streams.chain.errors import ChainError, PaymentMismatch, TermsError
from streams.chain.payment import read_payment
from streams.chain.terms import Terms, build_message
from tests.payments import AUTHORITY, BLOCKHASH, SERVER, STRANGER, WALLET, Pieces, changed, terms


def test_what_we_build_is_what_we_read() -> None:
    wanted = terms(fee="viewer")
    transaction = signing.unsigned(build_message(wanted, BLOCKHASH))
    payment = read_payment(transaction, wanted)
    assert payment.blockhash == BLOCKHASH
    assert payment.compute_unit_limit == wanted.compute_unit_limit
    assert payment.signers[0] == WALLET.pubkey()
    assert set(payment.missing) == {WALLET.pubkey(), SERVER.pubkey(), AUTHORITY.pubkey()}
    assert payment.signature == Signature.default()
    assert len(transaction) <= 1232


@pytest.mark.parametrize("fee", ["server", "viewer"])
@pytest.mark.parametrize("source", ["mint", "treasury"])
@pytest.mark.parametrize("version", ["legacy", 0])
def test_signatures_come_one_at_a_time(fee: Any, source: Any, version: Any) -> None:
    wanted = terms(fee=fee, source=source)
    signers = [WALLET, AUTHORITY, SERVER] if fee == "viewer" else [AUTHORITY, SERVER]
    transaction = Pieces.of(wanted).transaction(version)
    for count, signer in enumerate(signers):
        assert len(read_payment(transaction, wanted).missing) == len(signers) - count
        transaction = signing.sign(transaction, signer)
    payment = read_payment(transaction, wanted)
    assert payment.missing == ()
    assert payment.signature == signers[0 if fee == "viewer" else -1].sign_message(payment.message)


def test_a_wrong_signature_is_refused() -> None:
    wanted = terms()
    transaction = bytearray(signing.sign(Pieces.of(wanted).transaction(), SERVER))
    transaction[1] ^= 1
    with pytest.raises(PaymentMismatch, match=f"the signature of {SERVER.pubkey()} does not verify"):
        read_payment(bytes(transaction), wanted)


def test_a_stranger_s_signature_finds_no_place() -> None:
    transaction = Pieces.of(terms()).transaction()
    with pytest.raises(ChainError, match=f"{STRANGER.pubkey()} is no signer of this transaction"):
        signing.sign(transaction, STRANGER)
    with pytest.raises(ChainError, match="does not verify"):
        signing.put_signature(transaction, SERVER.pubkey(), Signature.default())


Change = Callable[[Pieces], Pieces]


def _account(index: int, at: int, to: Pubkey) -> Change:
    def change(pieces: Pieces) -> Pieces:
        accounts = list(pieces.instructions[index].accounts)
        accounts[at] = AccountMeta(to, accounts[at].is_signer, accounts[at].is_writable)
        return pieces.with_(index, changed(pieces.instructions[index], accounts=accounts))

    return change


def _data(index: int, start: int, piece: bytes) -> Change:
    def change(pieces: Pieces) -> Pieces:
        data = bytes(pieces.instructions[index].data)
        other = data[:start] + piece + data[start + len(piece) :]
        return pieces.with_(index, changed(pieces.instructions[index], data=other))

    return change


def _insert(index: int) -> Change:
    steal = transfer(TransferParams(from_pubkey=SERVER.pubkey(), to_pubkey=STRANGER.pubkey(), lamports=1))
    return lambda pieces: Pieces(pieces.payer, (*pieces.instructions[:index], steal, *pieces.instructions[index:]))


def _drop_last(pieces: Pieces) -> Pieces:
    return pieces.with_(4)


LOOK = str(STRANGER.pubkey())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_data(4, 1, (9).to_bytes(8, "little")), "instruction 5 (MintToChecked): the amount is 9, not 8000000000"),
        (_data(4, 9, b"\6"), "instruction 5 (MintToChecked): the decimals is 6, not 9"),
        (_data(4, 0, b"\7"), "instruction 5 (MintToChecked): the instruction is 7, not 14"),
        (_account(4, 2, STRANGER.pubkey()), f"instruction 5 (MintToChecked): the mint authority is {LOOK}, not"),
        (_account(4, 1, STRANGER.pubkey()), f"instruction 5 (MintToChecked): the token account is {LOOK}, not"),
        (_account(3, 2, STRANGER.pubkey()), f"instruction 4 (CreateIdempotent): the wallet is {LOOK}, not"),
        (_account(2, 1, STRANGER.pubkey()), f"instruction 3 (CreateAccountWithSeed): the marker is {LOOK}, not"),
        (_data(2, 44, b"f"), "instruction 3 (CreateAccountWithSeed): the seed is 66"),
        (_data(2, 76, b"\0"), "instruction 3 (CreateAccountWithSeed): the lamports is 890880, not"),
        (_data(0, 0, b"\4"), "instruction 1 (SetComputeUnitLimit): the data is 04"),
        (_data(1, 7, b"\1"), "instruction 2 (SetComputeUnitPrice): the compute unit price is"),
        (_data(0, 1, bytes(4)), "instruction 1 (SetComputeUnitLimit): the compute unit limit is 0"),
        (_insert(0), "instruction 1 (SetComputeUnitLimit): the program is 11111111111111111111111111111111, not"),
        (_insert(5), "instruction 6 (program 11111111111111111111111111111111) is one too many"),
        (_drop_last, "instruction 5 (MintToChecked) is missing"),
    ],
)
def test_the_first_thing_that_differs_is_named(change: Change, said: str) -> None:
    wanted = terms()
    if said.endswith("890880, not"):
        wanted = terms(marker_lamports=890_881)
        change, said = (lambda pieces: Pieces.of(terms())), said
    with pytest.raises(PaymentMismatch) as mismatch:
        read_payment(change(Pieces.of(wanted)).transaction(), wanted)
    assert said in str(mismatch.value)


def test_another_fee_payer_is_named() -> None:
    wanted, pieces = terms(), Pieces.of(terms())
    with pytest.raises(PaymentMismatch, match=f"the fee payer is {LOOK}, not {SERVER.pubkey()}"):
        read_payment(Pieces(STRANGER.pubkey(), pieces.instructions).transaction(), wanted)


def one_account_more(extra: Pubkey) -> bytes:
    """The claim's transaction with an account that may only be read, and that no instruction names."""
    message = Pieces.of(terms()).message(0)
    assert isinstance(message, MessageV0)
    header = message.header
    one_more = MessageHeader(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts + 1,
    )
    return signing.unsigned(MessageV0(one_more, [*message.account_keys, extra], BLOCKHASH, message.instructions, []))


def test_an_account_that_no_instruction_needs_is_named() -> None:
    with pytest.raises(PaymentMismatch, match=f"account {LOOK} is no part of this claim"):
        read_payment(one_account_more(STRANGER.pubkey()), terms())


def test_an_account_that_stands_twice_is_named() -> None:
    with pytest.raises(PaymentMismatch, match=f"account {WALLET.pubkey()} stands twice"):
        read_payment(one_account_more(WALLET.pubkey()), terms())


def test_lookup_tables_are_refused() -> None:
    message = Pieces.of(terms()).message(0)
    assert isinstance(message, MessageV0)
    lookup = MessageAddressTableLookup(STRANGER.pubkey(), b"\0", b"")
    tabled = MessageV0(message.header, message.account_keys, BLOCKHASH, message.instructions, [lookup])
    with pytest.raises(PaymentMismatch, match="address lookup tables"):
        read_payment(signing.unsigned(tabled), terms())


def test_the_server_never_pays_what_the_viewer_should() -> None:
    for wanted, given in ((terms(fee="viewer"), terms()), (terms(), terms(fee="viewer"))):
        with pytest.raises(PaymentMismatch, match="fee payer"):
            read_payment(Pieces.of(given).transaction(), wanted)


@pytest.mark.parametrize(
    ("changed_", "said"),
    [
        ({"amount_base_units": 0}, "0 base units; it may be 1 to"),
        ({"amount_base_units": 2**63}, "base units; it may be"),
        ({"source": "vault"}, "'vault'; it may be mint or treasury"),
        ({"fee_payer": STRANGER.pubkey()}, "neither the server's key nor the wallet"),
        ({"marker_seed": "AB" * 16}, "lowercase hex"),
        ({"marker_seed": "ab"}, "lowercase hex"),
        ({"marker_lamports": 0}, "ask the chain"),
        ({"compute_unit_limit": 1_400_001}, "compute unit limit 1400001"),
        ({"compute_unit_price_micro_lamports": -1}, "is no price"),
        ({"source": "treasury", "wallet": AUTHORITY.pubkey()}, "is the treasury itself"),
    ],
)
def test_terms_that_cannot_be_are_refused(changed_: dict[str, Any], said: str) -> None:
    with pytest.raises(TermsError, match=said):
        terms(**changed_)


def test_a_key_in_two_offices_signs_once() -> None:
    same = Keypair.from_seed(bytes([1]) * 32)
    wanted: Terms = terms(authority=same.pubkey())
    payment = read_payment(signing.sign(Pieces.of(wanted).transaction(), same), wanted)
    assert (payment.signers, payment.missing) == ((same.pubkey(),), ())
