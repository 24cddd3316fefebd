"""What the index remembers is never older than the last seal it was told of."""

import asyncio

import pytest

from claim_api.index import Remembered


async def test_an_answer_that_a_seal_overtook_is_given_but_not_remembered() -> None:
    known: Remembered[str, int] = Remembered(10)
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def question() -> int:
        asked.set()
        await go_on.wait()
        return 1

    asking = asyncio.create_task(known.ask("a", question))
    await asked.wait()
    known.forget(["a"])
    go_on.set()
    assert await asking == 1
    assert known.get("a") is None


async def test_that_there_is_none_is_remembered_until_something_is_said() -> None:
    known: Remembered[str, int] = Remembered(10)
    asked = 0

    async def question() -> int | None:
        nonlocal asked
        asked += 1
        return None if asked == 1 else 7

    assert [await known.ask("a", question) for _ in range(3)] == [None, None, None]
    known.forget(["a"])
    assert await known.ask("a", question) == 7
    assert asked == 2


@pytest.mark.parametrize("used", ["first", "second"])
async def test_the_least_recently_used_goes_first(used: str) -> None:
    known: Remembered[str, int] = Remembered(2)

    async def one() -> int:
        return 1

    await known.ask("first", one)
    await known.ask("second", one)
    known.get(used)
    await known.ask("third", one)
    assert len(known) == 2
    assert known.get(used) == 1
