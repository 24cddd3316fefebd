"""Small rules of the claims: errors of time, waits, amounts for people, bounds of the signer's protocol, the cap."""

import datetime
from typing import Any

import msgspec
import pytest
from solders.pubkey import Pubkey

from claim_api.payer.backoff import Waits
from claim_api.payer.chain_errors import is_marker_in_use, is_of_time
from claim_api.payer.config import Pace
from claim_api.payments.view import display, explorer_url
from claim_api.signer import protocol
from claim_api.signer.books import ClaimRow, Facts, Switches
from claim_api.signer.checks import CheckFailed, Checks, within_cap
from claim_api.signer.protocol import Code, Cosign, Sign, Wanted

BLOCKHASH = "4uQeVj5tqViQh7yWWGStvkEG1Zmhx6uasJtWCJziofM"


@pytest.mark.parametrize(
    ("error", "of_time"),
    [
        ('"BlockhashNotFound"', True),
        ('"InsufficientFundsForFee"', True),
        ('{"InsufficientFundsForRent":{"account_index":1}}', True),
        ('{"InstructionError":[2,{"Custom":1}]}', True),  # the fee payer is poor
        ('{"InstructionError":[3,{"Custom":1}]}', True),  # for the token account's rent, too
        ('{"InstructionError":[4,{"Custom":1}]}', False),  # the treasury is empty
        ('{"InstructionError":[2,{"Custom":0}]}', False),  # the marker exists
        ('{"InstructionError":[4,{"Custom":4}]}', False),  # the authority is none
        ('{"InstructionError":[4,"ComputationalBudgetExceeded"]}', False),
        ('"SanitizeFailure"', False),
        ("no JSON", False),
        ("[]", False),
    ],
)
def test_only_errors_of_time_are_tried_again(error: str, of_time: bool) -> None:
    assert is_of_time(error) is of_time


def test_a_marker_in_use_is_told_from_other_instructions_errors() -> None:
    assert is_marker_in_use('{"InstructionError":[2,{"Custom":0}]}')
    assert not is_marker_in_use('{"InstructionError":[4,{"Custom":0}]}')
    assert not is_marker_in_use('"AccountInUse"')


def test_waits_double_up_to_their_bound_and_begin_anew() -> None:
    waits = Waits(Pace(retry_first_s=1.0, retry_last_s=10.0), chance=lambda: 1.0)
    assert [waits.next_s(1) for _ in range(6)] == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    waits.forget(1)
    assert waits.next_s(1) == 1.0
    assert Waits(Pace(retry_first_s=1.0), chance=lambda: 0.0).next_s(1) == 0.5


def test_waits_remember_so_many_claims_only() -> None:
    waits = Waits(Pace(remembered_claims=2, retry_first_s=1.0), chance=lambda: 1.0)
    for claim_id in (1, 2, 3):
        waits.next_s(claim_id)
    assert waits.next_s(1) == 1.0
    assert waits.next_s(3) == 2.0


@pytest.mark.parametrize(
    ("base_units", "shown"),
    [
        (8_000_000_000, "8"),
        (1, "0.000000001"),
        (80_800_000_000, "80.8"),
        (0, "0"),
        (10**10, "10"),
        (2**63 - 1, "9223372036.854775807"),
    ],
)
def test_amounts_are_shown_exactly(base_units: int, shown: str) -> None:
    assert display(base_units) == shown


def test_explorers_are_told_the_cluster() -> None:
    assert explorer_url(None, "mainnet") is None
    assert explorer_url("5sig", "mainnet") == "https://explorer.solana.com/tx/5sig"
    assert explorer_url("5sig", "devnet") == "https://explorer.solana.com/tx/5sig?cluster=devnet"
    elsewhere = explorer_url("5sig", "devnet", "https://node.example?key=secret")
    assert elsewhere == "https://explorer.solana.com/tx/5sig?cluster=devnet"
    assert explorer_url("5sig", "localnet", "http://127.0.0.1:18899") == (
        "https://explorer.solana.com/tx/5sig?cluster=custom&customUrl=http%3A%2F%2F127.0.0.1%3A18899"
    )


@pytest.mark.parametrize(
    "question",
    [
        {"op": "sign", "claims": []},
        {"op": "sign", "claims": [[1, BLOCKHASH, 1]] * 65},
        {"op": "sign", "claims": [{"claim_id": 0, "blockhash": BLOCKHASH, "last_valid_block_height": 1}]},
        {"op": "sign", "claims": [{"claim_id": 1, "blockhash": "0OIl" * 9, "last_valid_block_height": 1}]},
        {"op": "sign", "claims": [{"claim_id": 1, "blockhash": BLOCKHASH, "last_valid_block_height": -1}]},
        {"op": "cosign", "claim_id": 1, "transaction": b"x" * 1233},
        {"op": "cosign", "claim_id": "1", "transaction": b""},
        {"op": "pay"},
        {},
        [],
        7,
    ],
)
def test_what_is_no_question_is_refused_before_anything(question: Any) -> None:
    with pytest.raises(msgspec.MsgspecError):
        protocol.question_of(msgspec.msgpack.encode(question))


def test_questions_pass_the_wire_unchanged() -> None:
    for question in (Sign([Wanted(1, BLOCKHASH, 5)] * 64), Cosign(2**63 - 1, b"x" * 1232)):
        assert protocol.question_of(protocol.encode(question)) == question


def claim(amount: int = 10) -> ClaimRow:
    return ClaimRow(1, 7, "w", "m", amount, "server", "reserved")


def facts(row: ClaimRow | None) -> Facts:
    return Facts(row, (), None, None, None)


def switches(cap: int | None, frozen: str | None = None) -> Switches:
    return Switches(frozen, cap, datetime.date(2026, 1, 1), 0)


@pytest.mark.parametrize(
    ("cap", "before", "good"), [(None, 10**30, True), (10, 0, True), (10, 1, False), (0, 0, False)]
)
def test_the_cap_is_the_most_of_a_day(cap: int | None, before: int, good: bool) -> None:
    if good:
        assert within_cap(claim(), facts(claim()), switches(cap), before) == before + 10
    else:
        with pytest.raises(CheckFailed) as caught:
            within_cap(claim(), facts(claim()), switches(cap), before)
        assert caught.value.code is Code.OVER_CAP


def test_the_switch_goes_before_everything_else() -> None:
    checks = Checks("m", b"\0" * 32, Pubkey.default(), lambda *_: None)
    with pytest.raises(CheckFailed) as caught:
        checks.claim(facts(None), switches(None, "audit"), "server")
    assert caught.value.code is Code.FROZEN
