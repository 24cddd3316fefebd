"""Small parts of the local cluster: base58, ages of blockhashes, slots, the bound of the ledger, words of errors."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.pubkey import Pubkey
from solders.signature import Signature

from infra.localnet import base58
from infra.localnet.blockhashes import KEPT, MAX_AGE, Blockhashes
from infra.localnet.errors import LocalnetError, in_words
from infra.localnet.options import LocalnetOptions
from infra.localnet.slots import Anchor, SlotClock
from infra.localnet.tokens import ui_amount


@given(st.binary(max_size=100))
def test_base58_is_undone(data: bytes) -> None:
    assert base58.decode(base58.encode(data)) == data


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_base58_is_solana_s(key: bytes, signature: bytes) -> None:
    assert base58.encode(key) == str(Pubkey.from_bytes(key))
    assert base58.encode(signature) == str(Signature.from_bytes(signature))


@pytest.mark.parametrize("character", "0OIl+é")
def test_what_is_no_base58_is_named(character: str) -> None:
    with pytest.raises(ValueError, match="is not base58"):
        base58.decode("1" + character)


def test_a_blockhash_lives_from_its_slot_for_150_more() -> None:
    hashes = Blockhashes(bytes(32))
    hashes.advance(1000)
    one = hashes.of(900)
    assert [hashes.valid_at(one, slot) for slot in (899, 900, 900 + MAX_AGE, 901 + MAX_AGE)] == [
        False,
        True,
        True,
        False,
    ]
    assert not hashes.valid_at(hashes.of(1001), 1001)
    assert hashes.of(900) != Blockhashes(b"\1" * 32).of(900)


def test_blockhashes_are_bounded_whatever_the_jump() -> None:
    hashes = Blockhashes(bytes(32))
    for slot in (5, 10**9, 10**9 + 1):
        hashes.advance(slot)
    assert len(hashes._slots) == KEPT
    assert hashes.valid_at(hashes.of(10**9), 10**9 + MAX_AGE)


@given(st.lists(st.integers(-10_000, 10_000), max_size=30))
def test_slots_never_go_back(steps: list[int]) -> None:
    clock, now_ms, seen = SlotClock(Anchor(7, 1_000_000, 400)), 1_000_000, 7
    for step in steps:
        now_ms += step
        slot = clock.observe(now_ms)
        assert slot >= seen
        assert clock.until_next_ms(now_ms) >= 1
        seen = slot


def test_a_slot_begins_when_it_is_said_to() -> None:
    clock = SlotClock(Anchor(7, 1_000_000, 400))
    assert [clock.observe(1_000_000 + ms) for ms in (0, 399, 400, 1200)] == [7, 7, 8, 10]
    assert clock.until_next_ms(1_001_250) == 350


@pytest.mark.parametrize(
    ("err", "words"),
    [
        ("BlockhashNotFound", "Blockhash not found"),
        ("SomethingNew", "SomethingNew"),
        ({"InstructionError": [2, {"Custom": 17}]}, "Error processing Instruction 2: custom program error: 0x11"),
        (
            {"InstructionError": [0, "InvalidAccountData"]},
            "Error processing Instruction 0: invalid account data for instruction",
        ),
        (
            {"InsufficientFundsForRent": {"account_index": 1}},
            "Transaction results in an account (1) with insufficient funds for rent",
        ),
    ],
)
def test_errors_in_a_node_s_words(err: Any, words: str) -> None:
    assert in_words(err) == words


@pytest.mark.parametrize(
    ("amount", "decimals", "text"),
    [(8_000_000_000, 9, "8"), (1, 9, "0.000000001"), (0, 9, "0"), (1500, 3, "1.5"), (10, 0, "10")],
)
def test_amounts_with_their_decimals(amount: int, decimals: int, text: str) -> None:
    assert ui_amount(amount, decimals)["uiAmountString"] == text


@pytest.mark.parametrize("wrong", [{"slot_ms": 9}, {"slot_ms": 60_001}, {"finality_slots": -1}, {"finality_slots": 65}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, int], tmp_path: Any) -> None:
    with pytest.raises(LocalnetError, match="it may be"):
        LocalnetOptions(folder=tmp_path, **wrong)  # type: ignore[arg-type]
