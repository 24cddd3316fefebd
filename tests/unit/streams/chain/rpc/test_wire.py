"""Answers read strictly, and Retry-After in both its forms."""

from typing import Any

import orjson
import pytest

from streams.chain.rpc import wire
from streams.chain.rpc.errors import RpcError
from streams.chain.rpc.faults import Elsewhere, Fault
from streams.chain.rpc.transport import retry_after_s


def same(error: RpcError) -> RpcError:
    return error


def answer(**more: Any) -> bytes:
    return orjson.dumps({"jsonrpc": "2.0", "id": 5} | more)


@pytest.mark.parametrize("result", [None, 0, False, "", [], {}, 1.5, [{"a": 2**64 - 1}]])
def test_every_result_is_one_a_null_too(result: Any) -> None:
    assert orjson.loads(wire.result_of(answer(result=result), 5, same)) == result


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"null", b"5", b"[]", b'"x"', answer(), answer(result=1, id=6), answer(result=1, id="5"),
        answer(result=1, id=None), answer(result=1, id=5.0), answer(result=1, id=True), answer(result=1, jsonrpc="1.0"),
        answer(result=1, jsonrpc=None), b'{"id":5,"result":1}', answer(error="text"), answer(error={"code": "x"}),
        answer(error={"message": "no code"}), answer(result=1) + b"x", b'{"jsonrpc":"2.0","id":5,"result":tru}',
        b'{"jsonrpc":"2.0","id":5,"result":"\xff"}', b'{"jsonrpc":"2.0","id":5,"result":"\\q"}',
        b'{"jsonrpc":"2.0","id":5,"result":NaN}',
        b'{"jsonrpc":"2.0","id":5,"result":' + b"[" * 9999 + b"]" * 9999 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_answer_to_the_call_is_the_nodes_fault(body: bytes) -> None:
    with pytest.raises(Fault) as raised:
        wire.result_of(body, 5, same)
    assert (raised.value.kind, raised.value.blames) == ("malformed", True)
    assert not isinstance(raised.value, Elsewhere)


@pytest.mark.parametrize("code", sorted(wire.FINAL_CODES))
def test_final_errors_are_the_callers(code: int) -> None:
    with pytest.raises(RpcError):
        wire.result_of(answer(error={"code": code, "message": "m"}), 5, same)


@pytest.mark.parametrize(
    ("code", "kind", "blames"),
    [(-32005, "behind", True), (-32004, "elsewhere", False), (-32016, "elsewhere", False), (-32014, "elsewhere", False),
     (-32603, "elsewhere", False), (-32601, "elsewhere", False), (-32000, "elsewhere", False), (1, "elsewhere", False),
     (429, "rate_limited", False), (-32429, "rate_limited", False)],
)  # fmt: skip
def test_other_errors_lead_to_another_node(code: int, kind: str, blames: bool) -> None:
    with pytest.raises(Fault) as raised:
        wire.result_of(answer(error={"code": code, "message": "m"}), 5, same)
    assert (raised.value.kind, raised.value.blames) == (kind, blames)


@pytest.mark.parametrize("answers", [[1, 2], [1, 2, 2], [1, 2, 4], []])
def test_a_batch_without_each_answer_is_the_nodes_fault(answers: list[int]) -> None:
    body = orjson.dumps([{"jsonrpc": "2.0", "id": one, "result": one} for one in answers])
    with pytest.raises(Fault, match="malformed"):
        wire.results_of(body, [1, 2, 3], same)


def test_min_context_slot_is_put_where_the_method_has_its_config() -> None:
    put = wire.with_min_context_slot
    assert put("getSlot", [], 9) == [{"minContextSlot": 9}]
    assert put("getBalance", ["a"], 9) == ["a", {"minContextSlot": 9}]
    assert put("getBalance", ["a", None], 9) == ["a", {"minContextSlot": 9}]
    owned = ["o", {"mint": "m"}, {"encoding": "base64"}]
    assert put("getTokenAccountsByOwner", owned, 9)[1:] == [{"mint": "m"}, {"encoding": "base64", "minContextSlot": 9}]
    assert owned[2] == {"encoding": "base64"}, "the caller's own stays as it was"
    for method, params in (("getBalance", []), ("getTokenAccountsByOwner", ["o"]), ("getTransaction", ["s"])):
        with pytest.raises(ValueError, match="takes no minContextSlot"):
            put(method, params, 9)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("7", 7.0),
        (" 12 ", 12.0),
        ("0", 0.0),
        ("9" * 40, 999_999_999.0),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("Thu, 01 Jan 1970 00:02:00 GMT", 20.0),
        ("Thu, 01 Jan 1970 00:00:01 GMT", 0.0),
        ("Thu, 99 Jan 1970 00:00:01 GMT", None),
    ],
)
def test_retry_after_reads_in_both_forms(value: str | None, seconds: float | None) -> None:
    assert retry_after_s(value, lambda: 100.0) == seconds
