"""A large answer goes out in pieces as its client takes them; too many at once and too slow clients are let go."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from claim_api.answer import Answer, answer
from claim_api.app import Api, create_app
from claim_api.config import ApiConfig, Bounds
from claim_api.downloads import PIECE_BYTES, WHOLE_BYTES
from claim_api.request import Request
from claim_api.routing import Route

BODY = bytes(range(256)) * (WHOLE_BYTES // 256) + b"the end"


class BigPart:
    """One route with a large answer."""

    def routes(self) -> Sequence[Route]:
        return [Route("big", "v1/big", {"GET": self.big})]

    async def start(self) -> None: ...
    async def stop(self) -> None: ...

    async def big(self, request: Request) -> Answer:
        return answer(BODY)


def app(**changes: Any) -> Api:
    return create_app(ApiConfig(dsn="postgresql://nobody@127.0.0.1:1/none", **changes), parts=[BigPart()])


def scope(method: str = "GET") -> dict[str, Any]:
    return {"type": "http", "method": method, "path": "/v1/big", "query_string": b"", "headers": []}


class Client:
    """Takes as many messages as it is allowed to."""

    def __init__(self, takes: int) -> None:
        self.left, self.got = takes, list[dict[str, Any]]()
        self.full = asyncio.Event()

    async def send(self, message: dict[str, Any]) -> None:
        self.got.append(message)
        self.left -= 1
        if self.left < 0:
            self.full.set()
            await asyncio.Event().wait()

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.got)


async def never() -> dict[str, Any]:
    raise AssertionError("a GET has no body to receive")


async def test_it_comes_whole_in_pieces_with_its_length() -> None:
    client = Client(100)
    await app()(scope(), never, client.send)
    start, *pieces = client.got
    assert (b"content-length", b"%d" % len(BODY)) in start["headers"] and client.body == BODY
    assert max(len(one["body"]) for one in pieces) == PIECE_BYTES
    assert [one["more_body"] for one in pieces] == [True] * (len(pieces) - 1) + [False]
    head = Client(100)
    await app()(scope("HEAD"), never, head.send)
    assert head.got[0]["headers"] == start["headers"] and head.body == b""


@pytest.mark.parametrize("bound", [{"send_timeout_s": 0.05}, {"bounds": Bounds(download_s=0.05)}])
async def test_a_client_that_takes_nothing_gets_no_more_than_a_piece_and_is_let_go(bound: Any) -> None:
    api, client = app(**bound), Client(1)
    async with asyncio.timeout(10):
        await api(scope(), never, client.send)
    assert len(client.body) == PIECE_BYTES
    assert api.counters.events["downloads_too_slow"] == 1 and api.counters.gauges["downloads"]() == 0


async def test_one_more_than_the_bound_is_refused_until_another_ends() -> None:
    api, slow, refused, later = app(bounds=Bounds(downloads=1)), Client(1), Client(100), Client(100)
    first = asyncio.create_task(api(scope(), never, slow.send))
    await slow.full.wait()
    await api(scope(), never, refused.send)
    assert (refused.got[0]["status"], b'"busy"' in refused.body) == (503, True)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await api(scope(), never, later.send)
    assert later.body == BODY
