"""The built cache: one build at a time for a key, a bound on bytes and on builds, and failures that are not kept."""

import asyncio

import pytest

from claim_api.counters import Counters
from claim_api.errors import ApiError
from claim_api.flight import BuiltCache


def cache(max_bytes: int = 100, max_builds: int = 2) -> BuiltCache[str, str]:
    return BuiltCache("c", max_bytes, max_builds, Counters())


async def test_many_askers_share_one_build_and_a_leaver_does_not_end_it() -> None:
    built, go_on = 0, asyncio.Event()
    kept = cache()

    async def build() -> tuple[str, int]:
        nonlocal built
        built += 1
        await go_on.wait()
        return "tree", 10

    first, *others = [asyncio.create_task(kept.fetch("a", build)) for _ in range(5)]
    await asyncio.sleep(0)
    first.cancel()
    go_on.set()
    assert await asyncio.gather(*others) == ["tree"] * 4
    assert built == 1
    assert kept.get("a") == "tree"


async def test_a_failed_build_fails_its_askers_and_is_tried_again() -> None:
    kept = cache()

    async def fail() -> tuple[str, int]:
        raise OSError("no")

    async def build() -> tuple[str, int]:
        return "tree", 10

    with pytest.raises(OSError, match="no"):
        await kept.fetch("a", fail)
    assert await kept.fetch("a", build) == "tree"


async def test_more_builds_than_the_bound_are_refused() -> None:
    kept, go_on = cache(), asyncio.Event()

    async def build() -> tuple[str, int]:
        await go_on.wait()
        return "tree", 10

    under_way = [asyncio.create_task(kept.fetch(key, build)) for key in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(ApiError) as error:
        await kept.fetch("c", build)
    assert (error.value.status, error.value.code) == (503, "busy")
    go_on.set()
    await asyncio.gather(*under_way)


async def test_the_least_recently_used_leaves_when_the_bytes_are_full() -> None:
    kept = cache(max_bytes=25)

    async def build() -> tuple[str, int]:
        return "tree", 10

    for key in "ab":
        await kept.fetch(key, build)
    kept.get("a")
    await kept.fetch("c", build)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == ("tree", None, "tree")
    assert kept.held_bytes == 20


async def test_what_is_over_the_bound_is_given_but_not_kept_and_told_beforehand() -> None:
    kept = cache(max_bytes=25)

    async def build() -> tuple[str, int]:
        return "tree", 26

    assert await kept.fetch("a", build) == "tree"
    assert (kept.get("a"), kept.held_bytes) == (None, 0)
    with pytest.raises(ApiError, match="26"):
        kept.check_size(26, "a tree")
