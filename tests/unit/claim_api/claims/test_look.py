"""A look at nodes that do not agree: the one that is least far decides, and whoever found something is believed."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from claim_api.chain.port import Finding, Subject
from claim_api.chain.rpc import RpcChain
from streams.chain.rpc.everywhere import Look

ACCOUNT = {"lamports": 890_880, "owner": "11111111111111111111111111111111", "data": ["", "base64"]}
STATUS = {"slot": 5, "err": None, "confirmationStatus": "processed"}


class ScriptedPool:
    """Answers of each node by method."""

    def __init__(self, heights: dict[str, int], marked: set[str], found: set[str], silent: int = 0) -> None:
        self._heights, self._marked, self._found, self._silent = heights, marked, found, silent
        self.least_slots: list[int] = []

    async def look_everywhere(
        self, method: str, params: Any, *, parse: Callable[[bytes], Any], min_context_slot: int | None = None
    ) -> Look:
        if min_context_slot is not None:
            self.least_slots.append(min_context_slot)
        answers: dict[str, Any] = {}
        for name, height in self._heights.items():
            if method == "getEpochInfo":
                answers[name] = {"blockHeight": height, "absoluteSlot": height + 7}
            elif method == "getMultipleAccounts":
                answers[name] = {"value": [ACCOUNT if name in self._marked else None]}
            else:
                answers[name] = {"value": [STATUS if name in self._found else None]}
        answers = {name: parse(orjson.dumps(one)) for name, one in answers.items()}
        return Look(answers, {f"silent{n}": "no answer" for n in range(self._silent)})


@pytest.mark.parametrize(
    ("heights", "marked", "found", "silent", "expected"),
    [
        ({"a": 101, "b": 101}, set(), set(), 0, Finding.DEAD),
        ({"a": 101, "b": 100}, set(), set(), 0, Finding.ALIVE),
        ({"a": 101, "b": 101}, {"b"}, set(), 0, Finding.MARKED),
        ({"a": 101, "b": 101}, set(), {"b"}, 0, Finding.FOUND),
        ({"a": 101, "b": 101}, set(), set(), 1, Finding.DEAD),
        ({"a": 101, "b": 101}, set(), set(), 2, Finding.UNKNOWN),
        ({"a": 101}, {"a"}, set(), 5, Finding.MARKED),
    ],
)
async def test_the_least_of_the_nodes_decides(
    heights: dict[str, int], marked: set[str], found: set[str], silent: int, expected: Finding
) -> None:
    pool: Any = ScriptedPool(heights, marked, found, silent)
    look = await RpcChain(pool).look([Subject("marker", "signature", 100)])
    assert look.findings == (expected,)
    # Accounts are read at the slot of the height, or later.
    assert pool.least_slots == [min(heights.values()) + 7] == [look.slot]
