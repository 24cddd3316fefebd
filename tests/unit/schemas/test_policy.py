"""Policy files: one policy, or several in a row; what is off is named."""

import json
from typing import Any

import msgspec
import pytest

from schemas.errors import SchemaError
from schemas.policy import DEFAULT_POLICY, PolicySchedule, decode_policy

OLD: dict[str, Any] = json.loads(DEFAULT_POLICY.canonical)
NEW: dict[str, Any] = {**OLD, "version": 2, "grace_s": 60}
EPOCH_S = 1_767_225_600


def entry(from_s: Any, policy: dict[str, Any]) -> dict[str, Any]:
    return {"effective_from_s": from_s, "policy": policy}


def test_one_policy_is_in_force_for_all_time() -> None:
    schedule = PolicySchedule.decode(json.dumps(OLD))
    assert schedule.at(0) == schedule.at(EPOCH_S) == DEFAULT_POLICY


def test_a_list_puts_each_in_force_from_an_epoch_on() -> None:
    text = json.dumps([entry(0, OLD), entry(EPOCH_S, NEW)], indent=1).encode()
    schedule = PolicySchedule.decode(b"\n " + text)
    assert [schedule.at(at).version for at in (0, EPOCH_S - 3600, EPOCH_S, EPOCH_S + 3600)] == [1, 1, 2, 2]
    assert schedule.at(EPOCH_S).canonical == msgspec.structs.replace(DEFAULT_POLICY, version=2, grace_s=60).canonical


@pytest.mark.parametrize(
    ("entries", "named"),
    [
        ([], "no policy from epoch 0"),
        ([entry(3600, OLD)], "no policy from epoch 0"),
        ([entry(0, OLD), entry(0, NEW)], "must differ"),
        ([entry(0, OLD), entry(EPOCH_S + 1, NEW)], "lie on epoch starts"),
        ([entry(0, OLD), entry(7200, {**NEW, "epoch_length_s": 1800})], "mixes epoch lengths"),
        ([entry(0, NEW), entry(7200, OLD)], "versions .* must rise"),
        ([entry(0, OLD), entry(7200, OLD)], "versions .* must rise"),
        ([entry(-3600, OLD)], "effective_from_s"),
        ([entry(0.5, OLD)], "effective_from_s"),
        ([OLD], "p.json: .*unknown field"),
        ([{**entry(0, OLD), "until": 1}], "until"),
    ],
)
def test_a_list_that_leaves_a_question_is_refused(entries: list[Any], named: str) -> None:
    with pytest.raises(SchemaError, match=named):
        PolicySchedule.decode(json.dumps(entries), "p.json")


@pytest.mark.parametrize("text", [b"", b"[", b"\xff", b"[\xff]", b"null", b"[null]", b"[" * 100_000])
def test_bytes_that_are_no_policy_file_are_refused(text: bytes) -> None:
    with pytest.raises(SchemaError, match=r"^p\.json: "):
        PolicySchedule.decode(text, "p.json")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": 2**32},
        {"version": True},
        {"version": "1"},
        {"version": 1.0},
        {"epoch_length_s": 0},
        {"epoch_length_s": 3600.0},
        {"grace_s": -1},
        {"horizon_s": 31 * 86_400 + 1},
        {"base_units_per_centi": 1.5},
        {"base_units_per_centi": 2**63},
        {"excluded_logins": ["b", "a"]},
        {"excluded_logins": ["a", "a"]},
        {"excluded_logins": ["A"]},
        {"weights_centi": {**OLD["weights_centi"], "presence": 0}},
        {"weights_centi": {**OLD["weights_centi"], "bit": 10**6 + 1}},
        {"weights_centi": {**OLD["weights_centi"], "more": 1}},
        {"more": 1},
    ],
)
def test_a_field_that_is_off_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match=r"^p\.json: "):
        decode_policy(json.dumps({**OLD, **change}), "p.json")
