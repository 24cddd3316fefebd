"""A stream's client that takes nothing in time is let go, and counted; one that left is noticed."""

import asyncio
from typing import Any

from claim_api.app import create_app
from claim_api.config import ApiConfig


def scope() -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/v1/stream",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "headers": [],
    }


async def never() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_client_that_takes_nothing_is_let_go() -> None:
    api = create_app(ApiConfig(dsn="postgresql://nobody@127.0.0.1:1/none", send_timeout_s=0.02))
    api._hub.start_at(0)
    sent: list[str] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    await api(scope(), never, send)
    assert sent == ["http.response.start", "http.response.body"]
    assert api.counters.events["stream_clients_too_slow"] == 1
    assert api._hub.clients == 0


async def test_a_client_that_left_is_forgotten() -> None:
    api = create_app(ApiConfig(dsn="postgresql://nobody@127.0.0.1:1/none"))
    api._hub.start_at(0)
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        gone.set()

    async with asyncio.timeout(5):
        await api(scope(), receive, send)
    assert api._hub.clients == 0


async def test_a_question_that_comes_after_the_stop_is_answered_and_no_fault() -> None:
    api = create_app(ApiConfig(dsn="postgresql://nobody@127.0.0.1:1/none"))
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await api({**scope(), "path": "/v1/channels", "raw_path": b"/v1/channels"}, never, send)
    assert sent[0]["status"] == 503 and api.counters.events["faults"] == 0
