"""A scripted recent-messages service over real HTTP, for tests of history and of what fills gaps from it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from streams.collect.live.history import HistoryClient

T0 = 1_767_225_600_000
CHANNEL, LOGIN = "twitch:id:900001", "ember"


class Service:
    """A scripted recent-messages service. messages: what it returns; fail: answers that come before."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.fail: list[web.Response] = []
        self.asked: list[str] = []
        self.on_request: Callable[[], None] = lambda: None
        self.never = False
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path_qs)
        self.on_request()
        if self.never:
            await asyncio.Event().wait()
        if self.fail:
            return self.fail.pop(0)
        return said(self.messages)


def said(messages: list[str], error: str | None = None, code: str | None = None) -> web.Response:
    body = orjson.dumps({"messages": messages, "error": error, "error_code": code})
    return web.Response(body=body, content_type="application/json")


@asynccontextmanager
async def scripted_history() -> AsyncIterator[Service]:
    """The service, answering on a port of its own."""
    made = Service()
    app = web.Application()
    app.router.add_get("/recent/{channel}", made.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/recent/{{channel}}?limit=800"
    yield made
    await runner.cleanup()


@asynccontextmanager
async def client_of(service: Service, timeout_s: float = 5.0) -> AsyncIterator[HistoryClient]:
    async with HistoryClient(service.url, timeout_s=timeout_s) as client:
        yield client


def message(at_ms: int, number: int, text: str = ":hello there", room: int = 900001) -> str:
    tags = f"historical=1;id=00000000-0000-4000-8000-{number:012x};rm-received-ts={at_ms + 50};room-id={room}"
    return f"@{tags};tmi-sent-ts={at_ms};user-id=7 :ann!ann@ann.tmi.twitch.tv PRIVMSG #ember {text}"


def every_second(start_s: int, end_s: int) -> list[str]:
    return [message(T0 + 1000 * second, second) for second in range(start_s, end_s)]
