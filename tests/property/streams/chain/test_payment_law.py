"""Whatever is changed in a claim's transaction, by one field or one byte, is refused; only the compute budget may move
within its bounds."""

import itertools
import random
from typing import Literal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, CompiledInstruction, Instruction
from solders.message import Message, MessageHeader
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer

from streams.chain import signing
from streams.chain.errors import PaymentMismatch
from streams.chain.payment import read_payment
from streams.chain.terms import Terms
from tests.payments import BLOCKHASH, STRANGER, Pieces, changed, terms

Fee = Literal["server", "viewer"]
Source = Literal["mint", "treasury"]
WAYS: list[tuple[Fee, Source]] = [
    ("server", "mint"),
    ("server", "treasury"),
    ("viewer", "mint"),
    ("viewer", "treasury"),
]
WANTED = st.sampled_from(WAYS).map(lambda way: terms(fee=way[0], source=way[1]))


def refused(transaction: bytes, wanted: Terms) -> str:
    with pytest.raises(PaymentMismatch) as mismatch:
        read_payment(transaction, wanted)
    return str(mismatch.value)


def some_account(data: st.DataObject, pieces: Pieces) -> tuple[int, int]:
    with_accounts = [index for index, one in enumerate(pieces.instructions) if one.accounts]
    index = data.draw(st.sampled_from(with_accounts))
    return index, data.draw(st.integers(0, len(pieces.instructions[index].accounts) - 1))


def with_account(pieces: Pieces, index: int, at: int, meta: AccountMeta) -> Pieces:
    accounts = list(pieces.instructions[index].accounts)
    accounts[at] = meta
    return pieces.with_(index, changed(pieces.instructions[index], accounts=accounts))


def other_key(data: st.DataObject, pieces: Pieces, not_this: Pubkey) -> Pubkey:
    """A stranger's, or one that stands elsewhere in the transaction."""
    keys = {meta.pubkey for one in pieces.instructions for meta in one.accounts}
    keys |= {one.program_id for one in pieces.instructions} | {STRANGER.pubkey(), Pubkey.default()}
    return data.draw(st.sampled_from(sorted(keys - {not_this}, key=bytes)))


@given(data=st.data(), wanted=WANTED)
def test_another_account_is_refused(data: st.DataObject, wanted: Terms) -> None:
    pieces = Pieces.of(wanted)
    index, at = some_account(data, pieces)
    meta = pieces.instructions[index].accounts[at]
    other = AccountMeta(other_key(data, pieces, meta.pubkey), meta.is_signer, meta.is_writable)
    refused(with_account(pieces, index, at, other).transaction(), wanted)


@given(data=st.data(), wanted=WANTED, right=st.sampled_from(["signer", "writable"]))
def test_other_rights_of_an_account_are_refused(data: st.DataObject, wanted: Terms, right: str) -> None:
    pieces = Pieces.of(wanted)
    index, at = some_account(data, pieces)
    meta = pieces.instructions[index].accounts[at]
    other = AccountMeta(meta.pubkey, meta.is_signer ^ (right == "signer"), meta.is_writable ^ (right == "writable"))
    mutated = with_account(pieces, index, at, other)
    # Rights are the message's: where another instruction gives the same right, nothing has changed.
    assume(mutated.transaction() != pieces.transaction())
    refused(mutated.transaction(), wanted)


@given(data=st.data(), wanted=WANTED)
def test_accounts_added_or_taken_away_are_refused(data: st.DataObject, wanted: Terms) -> None:
    pieces = Pieces.of(wanted)
    index, at = some_account(data, pieces)
    accounts = list(pieces.instructions[index].accounts)
    if data.draw(st.booleans()):
        del accounts[at]
    else:
        accounts.insert(at, AccountMeta(other_key(data, pieces, Pubkey.default()), False, False))
    refused(pieces.with_(index, changed(pieces.instructions[index], accounts=accounts)).transaction(), wanted)


@given(data=st.data(), wanted=WANTED, index=st.integers(2, 4))
def test_other_data_is_refused(data: st.DataObject, wanted: Terms, index: int) -> None:
    pieces = Pieces.of(wanted)
    body = bytearray(pieces.instructions[index].data)
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] ^= data.draw(st.integers(1, 255))
    refused(pieces.with_(index, changed(pieces.instructions[index], data=bytes(body))).transaction(), wanted)


@given(data=st.data(), wanted=WANTED, index=st.integers(0, 4), more=st.binary(min_size=1, max_size=40))
def test_data_longer_or_shorter_is_refused(data: st.DataObject, wanted: Terms, index: int, more: bytes) -> None:
    pieces = Pieces.of(wanted)
    body = bytes(pieces.instructions[index].data)
    other = body + more if data.draw(st.booleans()) else body[: data.draw(st.integers(0, len(body) - 1))]
    refused(pieces.with_(index, changed(pieces.instructions[index], data=other)).transaction(), wanted)


@given(data=st.data(), wanted=WANTED, index=st.integers(0, 4))
def test_another_program_is_refused(data: st.DataObject, wanted: Terms, index: int) -> None:
    pieces = Pieces.of(wanted)
    one = pieces.instructions[index]
    other = changed(one, program=other_key(data, pieces, one.program_id))
    refused(pieces.with_(index, other).transaction(), wanted)


@given(data=st.data(), wanted=WANTED)
def test_instructions_added_repeated_removed_or_reordered_are_refused(data: st.DataObject, wanted: Terms) -> None:
    pieces = Pieces.of(wanted)
    given_, foreign = list(pieces.instructions), _foreign(wanted)
    how = data.draw(st.sampled_from(["add", "repeat", "remove", "reorder"]))
    if how == "add":
        given_.insert(data.draw(st.integers(0, 5)), data.draw(st.sampled_from(foreign)))
    elif how == "repeat":
        given_.insert(data.draw(st.integers(0, 5)), data.draw(st.sampled_from(given_)))
    elif how == "remove":
        del given_[data.draw(st.integers(0, 4))]
    else:
        given_ = data.draw(st.permutations(given_))
        assume(given_ != list(pieces.instructions))
    refused(Pieces(wanted.fee_payer, tuple(given_)).transaction(), wanted)


def _foreign(wanted: Terms) -> list[Instruction]:
    steal = TransferParams(from_pubkey=wanted.server_fee_payer, to_pubkey=STRANGER.pubkey(), lamports=1)
    return [transfer(steal), set_compute_unit_limit(1), Instruction(STRANGER.pubkey(), b"", [])]


@given(wanted=WANTED, limit=st.integers(0, 2**32 - 1), price=st.integers(0, 2**64 - 1))
def test_the_compute_budget_may_move_within_its_bounds_only(wanted: Terms, limit: int, price: int) -> None:
    _budget(wanted, limit, price)
    most_limit, most_price = wanted.compute_unit_limit, wanted.compute_unit_price_micro_lamports
    _budget(wanted, limit % (most_limit + 2), price % (most_price + 2))


def _budget(wanted: Terms, limit: int, price: int) -> None:
    pieces = Pieces.of(wanted).with_(0, set_compute_unit_limit(limit)).with_(1, set_compute_unit_price(price))
    within = 1 <= limit <= wanted.compute_unit_limit and price <= wanted.compute_unit_price_micro_lamports
    if within:
        payment = read_payment(pieces.transaction(), wanted)
        assert (payment.compute_unit_limit, payment.compute_unit_price_micro_lamports) == (limit, price)
    else:
        assert "compute unit" in refused(pieces.transaction(), wanted)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("version", ["legacy", 0])
def test_no_byte_may_differ_but_the_blockhash_and_the_budget(
    way: tuple[Fee, Source], version: Literal["legacy", 0], seed: int
) -> None:
    chance = random.Random(seed)
    wanted = terms(fee=way[0], source=way[1])
    transaction = Pieces.of(wanted).transaction(version)
    blockhash_at = transaction.index(bytes(BLOCKHASH))
    free = set(range(blockhash_at, blockhash_at + 32))
    for budget in (set_compute_unit_limit(wanted.compute_unit_limit), set_compute_unit_price(1_000)):
        at = transaction.index(bytes(budget.data), blockhash_at + 32)
        free |= set(range(at + 1, at + len(budget.data)))
    for at in range(len(transaction)):
        if at in free:
            continue
        for flip in {1 << chance.randrange(8), chance.randrange(1, 256)}:
            other = bytearray(transaction)
            other[at] ^= flip
            refused(bytes(other), wanted)


@given(wanted=WANTED, more=st.binary(min_size=1, max_size=64))
def test_bytes_behind_the_transaction_are_refused(wanted: Terms, more: bytes) -> None:
    refused(Pieces.of(wanted).transaction() + more, wanted)


@given(wanted=WANTED, cut=st.integers(0, 600))
def test_a_cut_transaction_is_refused(wanted: Terms, cut: int) -> None:
    refused(Pieces.of(wanted).transaction()[:cut], wanted)


@settings(max_examples=300)
@given(junk=st.binary(max_size=1400), wanted=WANTED)
def test_junk_is_refused(junk: bytes, wanted: Terms) -> None:
    refused(junk, wanted)


@given(data=st.data(), wanted=WANTED)
def test_the_order_of_account_keys_is_the_wallet_s_business(data: st.DataObject, wanted: Terms) -> None:
    message = Pieces.of(wanted).message()
    assert isinstance(message, Message)
    keys, header = list(message.account_keys), message.header
    signers, total = header.num_required_signatures, len(keys)
    edges = [
        1,  # the fee payer stays first
        signers - header.num_readonly_signed_accounts,
        signers,
        total - header.num_readonly_unsigned_accounts,
        total,
    ]
    order = [0]
    for start, end in itertools.pairwise(edges):
        order += data.draw(st.permutations(range(start, end)))
    place = {old: new for new, old in enumerate(order)}
    moved = Message.new_with_compiled_instructions(
        header.num_required_signatures,
        header.num_readonly_signed_accounts,
        header.num_readonly_unsigned_accounts,
        [keys[old] for old in order],
        BLOCKHASH,
        [
            CompiledInstruction(place[one.program_id_index], bytes(one.data), bytes(place[at] for at in one.accounts))
            for one in message.instructions
        ],
    )
    payment = read_payment(signing.unsigned(moved), wanted)
    assert set(payment.signers) == wanted.signers


@given(
    wanted=WANTED,
    promote=st.sampled_from(["signers", "readonly_signed", "readonly_unsigned"]),
    by=st.sampled_from([-1, 1]),
)
def test_another_header_is_refused(wanted: Terms, promote: str, by: int) -> None:
    message = Pieces.of(wanted).message()
    header = message.header
    counts = [
        header.num_required_signatures + by * (promote == "signers"),
        header.num_readonly_signed_accounts + by * (promote == "readonly_signed"),
        header.num_readonly_unsigned_accounts + by * (promote == "readonly_unsigned"),
    ]
    assume(all(count >= 0 for count in counts))
    moved = Message.new_with_compiled_instructions(
        counts[0], counts[1], counts[2], list(message.account_keys), BLOCKHASH, list(message.instructions)
    )
    assert moved.header == MessageHeader(counts[0], counts[1], counts[2])
    refused(signing.unsigned(moved), wanted)
