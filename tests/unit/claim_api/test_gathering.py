"""Look-ups gathered into queries: who waits together is asked together, nobody hears what stood before they came."""

import asyncio
from collections.abc import Mapping

import pytest

from claim_api.errors import ApiError
from claim_api.gathering import Gathering
from claim_api.part_counters import PartCounters


class Table:
    """Answers a query when the test lets it."""

    def __init__(self) -> None:
        self.queries: list[list[int]] = []
        self.gates: list[asyncio.Future[Mapping[int, str]]] = []
        self.asked = asyncio.Event()

    async def look(self, keys: list[int]) -> Mapping[int, str]:
        self.queries.append(keys)
        self.gates.append(asyncio.get_running_loop().create_future())
        self.asked.set()
        return await self.gates[-1]

    async def until(self, queries: int) -> None:
        async with asyncio.timeout(5):
            while len(self.queries) < queries:
                self.asked.clear()
                await self.asked.wait()


def gathering(table: Table, **bounds: int) -> tuple[Gathering[int, str], PartCounters]:
    counters = PartCounters()
    return Gathering("things", table.look, counters, **bounds), counters


async def test_what_comes_while_a_query_is_under_way_is_the_next_query() -> None:
    table = Table()
    one, counters = gathering(table, at_once=1)
    first = asyncio.create_task(one.find(1))
    await table.until(1)
    rest = [asyncio.create_task(one.find(key)) for key in (1, 2, 3, 2)]
    table.gates[0].set_result({1: "before"})
    assert await first == "before"
    await table.until(2)
    assert table.queries == [[1], [1, 2, 3]]
    table.gates[1].set_result({1: "after", 2: "two"})
    # The second asker of 1 hears what its own query found.
    assert await asyncio.gather(*rest) == ["after", "two", None, "two"]
    assert (counters.counts["things", "asked"], counters.counts["things", "queries"]) == (5, 2)


async def test_no_more_queries_than_allowed_are_under_way() -> None:
    table = Table()
    one, _ = gathering(table, at_once=2)
    tasks = []
    for key in range(2):
        tasks.append(asyncio.create_task(one.find(key)))
        await table.until(key + 1)
    tasks += [asyncio.create_task(one.find(key)) for key in range(2, 9)]
    for task in tasks:
        await asyncio.wait([task], timeout=0)
    assert len(table.queries) == 2
    for gate in table.gates[:2]:
        gate.set_result({})
    await table.until(3)
    table.gates[2].set_result({})
    assert await asyncio.gather(*tasks) == [None] * 9
    assert table.queries[2] == list(range(2, 9))


async def test_a_query_has_a_bound_and_so_has_waiting() -> None:
    table = Table()
    one, counters = gathering(table, at_once=1, max_keys=2, max_waiting=3)
    tasks = [asyncio.create_task(one.find(0))]
    await table.until(1)
    tasks += [asyncio.create_task(one.find(key)) for key in (1, 2, 3)]
    await asyncio.wait(tasks, timeout=0)
    with pytest.raises(ApiError) as caught:
        await one.find(4)
    assert caught.value.status == 503 and counters.counts["things", "refused"] == 1
    for number in range(3):
        await table.until(number + 1)
        table.gates[number].set_result({})
    await asyncio.gather(*tasks)
    assert table.queries == [[0], [1, 2], [3]]


async def test_a_fault_reaches_its_askers_only_and_who_leaves_disturbs_nobody() -> None:
    table = Table()
    one, _ = gathering(table, at_once=1)
    first = asyncio.create_task(one.find(1))
    await table.until(1)
    leaving, staying = asyncio.create_task(one.find(2)), asyncio.create_task(one.find(2))
    await asyncio.wait([leaving, staying], timeout=0)
    leaving.cancel()
    table.gates[0].set_exception(OSError("away"))
    with pytest.raises(OSError, match="away"):
        await first
    await table.until(2)
    table.gates[1].set_result({2: "two"})
    assert await staying == "two"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_closing_ends_who_waits() -> None:
    table = Table()
    one, _ = gathering(table, at_once=1)
    tasks = [asyncio.create_task(one.find(1))]
    await table.until(1)
    tasks.append(asyncio.create_task(one.find(2)))
    await asyncio.wait(tasks, timeout=0)
    await one.close()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in found)
