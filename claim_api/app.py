"""The API as an ASGI application: routes, limits, errors and counters around the endpoints.

In: ASGI requests. Out: answers; every error is JSON {code, message, mend}. `create_app` makes one; `start` and `stop`
frame its life inside the event loop that serves it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Sequence
from time import perf_counter
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest

from claim_api.answer import Answer, answer, error_answer, etag_of, matches, not_modified
from claim_api.config import ApiConfig
from claim_api.counters import Counters
from claim_api.database import ReadOnlyDatabase
from claim_api.downloads import WHOLE_BYTES, Downloads
from claim_api.epochs import EpochPages, PolicyTexts
from claim_api.errors import ApiError, busy
from claim_api.health import HealthPage, Lag
from claim_api.hub import Hub
from claim_api.index import SealIndex
from claim_api.page import StaticPages
from claim_api.proofs import ProofPages
from claim_api.request import Request
from claim_api.routing import Part, ProvingPart, Router, method_not_allowed
from claim_api.stream import Streams
from claim_api.trees import Trees
from claim_api.viewers import ViewerPages
from claim_api.watcher import Watcher
from projections import read
from streams.core import hashing

logger: Final = logging.getLogger("twzrd.api")
METRICS_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"


class Api:
    """One API. Call `start` before the first request and `stop` after the last, in the loop that serves it."""

    def __init__(
        self, config: ApiConfig, registry: CollectorRegistry, lag_records: Lag | None, parts: Sequence[Part]
    ) -> None:
        self.config, self._registry = config, registry
        self.counters = Counters()
        registry.register(self.counters)
        bounds = config.bounds
        self._database = ReadOnlyDatabase(config, self.counters)
        self._index = SealIndex(self._database, bounds.remembered_epochs, self.counters)
        policies = PolicyTexts(self._database)
        self._trees = Trees(self._database, policies, bounds, self.counters)
        self._hub = Hub(self._index, bounds.stream_kept_seals, bounds.stream_boards, self.counters)
        self._watcher = Watcher(self._database, self._hub, config.refresh_ms, self.counters)
        self._streams = Streams(config, self._database, self._index, self._hub, self._watcher, self.counters)
        self._epochs = EpochPages(self._database, self._index, policies, bounds)
        self._proofs = ProofPages(config, self._database, self._index, self._trees)
        self._viewers = ViewerPages(config, self._database)
        self._health = HealthPage(config, self._database, self._hub, lag_records)
        self._static = StaticPages()
        self._downloads = Downloads(config, self.counters)
        self._parts = parts
        for part in parts:
            if isinstance(part, ProvingPart):
                part.prove_with(self._proofs)
        self._router = Router(route for part in parts for route in part.routes())
        self._in_flight = 0
        self._watching: asyncio.Task[None] | None = None
        self._warming: asyncio.Task[None] | None = None
        self.counters.gauges["in_flight"] = lambda: self._in_flight

    async def start(self) -> None:
        """Opens the pool and begins to watch. Needs no database yet."""
        if self.config.fast_hashing and not hashing.FAST:
            await asyncio.to_thread(hashing.enable_fast, self.config.fast_cache_dir)
        await self._database.open()
        self._watching = asyncio.create_task(self._watcher.run())
        self._warming = asyncio.create_task(self._warm())
        for part in self._parts:
            await part.start()

    async def _warm(self) -> None:
        """A connection with the statements of a first proof prepared, and a tree built, so that the first client does
        not wait for them."""
        await self._trees.rehearse()
        with contextlib.suppress(ApiError):  # no database yet: counted and logged where the question was asked
            await read.resolve_channel(self._database, "")
            await read.epoch(self._database, "", 0)
            await read.body(self._database, "", 0, 0)
            await read.policy(self._database, b"")

    async def end_streams(self) -> None:
        """Streams end, so that a server that waits for its requests can stop."""
        self._streams.stopping.set()

    async def stop(self) -> None:
        """Lets everything go."""
        await self.end_streams()
        tasks = [task for task in (self._watching, self._warming) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for part in reversed(self._parts):
            await part.stop()
        self._trees.close()
        await self._database.close()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        if scope["type"] != "http":
            return
        started = perf_counter()
        route, head, made = "refused", scope["method"] == "HEAD", None
        none_match: bytes | None = None
        try:
            request = Request(scope, self.config.bounds, receive)
            route, found = self._route(request, receive, send)
            if self._in_flight >= self.config.bounds.in_flight and route != "stream":
                found.close()  # type: ignore[attr-defined]
                raise busy("requests", self.config.bounds.in_flight)
            none_match = request.header(b"if-none-match")
            made = await self._counted(route, found)
            if made is not None:
                made = _as_asked(made, none_match, head)
                if len(made.body) > WHOLE_BYTES:
                    self._downloads.check_room()
        except ApiError as error:
            self.counters.refused[error.code] += 1
            made = _as_asked(error_answer(error), None, head)
        except Exception:  # the last line: whatever went wrong, the client gets an answer and the log the trace
            logger.exception("request failed: route %s", route)
            self.counters.events["faults"] += 1
            fault = ApiError(500, "internal", "the server failed", "see its log; the fault is noted there")
            made = _as_asked(error_answer(fault), None, head)
        if made is not None:
            if len(made.body) > WHOLE_BYTES:
                await self._downloads.send(made, send)
            else:
                await send({"type": "http.response.start", "status": made.status, "headers": made.headers})
                await send({"type": "http.response.body", "body": made.body})
            self.counters.request(route, made.status, perf_counter() - started)

    async def _counted(self, route: str, found: Awaitable[Answer | None]) -> Answer | None:
        if route == "stream":
            return await found
        self._in_flight += 1
        try:
            return await found
        finally:
            self._in_flight -= 1

    def _route(self, request: Request, receive: Any, send: Any) -> tuple[str, Awaitable[Answer | None]]:
        """The route's name and its answer to come."""
        read = self._read_route(request, receive, send) if request.method == "GET" else None
        if read is not None:
            return read
        found = self._router.find(request.method, request.path)
        if found is not None:
            name, handler, captured = found
            return name, handler(request, *captured)
        if request.method != "GET":
            raise method_not_allowed(request.method, ("GET",))
        return "page", self._static.page(request)

    def _read_route(self, request: Request, receive: Any, send: Any) -> tuple[str, Awaitable[Answer | None]] | None:
        """The same of what anybody may read; none of it is a part's."""
        match request.path.split("/"):
            case ["", "v1", "epochs", channel, start, "proof"]:
                return "proof", self._proofs.proof(request, channel, start)
            case ["", "v1", "epochs", channel, start]:
                return "epoch", self._epochs.epoch(request, channel, start)
            case ["", "v1", "epochs", channel, start, "leaves"]:
                return "leaves", self._proofs.leaves(request, channel, start)
            case ["", "v1", "epochs", "latest"]:
                return "epoch_latest", self._epochs.newest(request)
            case ["", "v1", "channels"]:
                return "channels", self._epochs.channels(request)
            case ["", "v1", "channels", channel, "epochs"]:
                return "epochs", self._epochs.epochs(request, channel)
            case ["", "v1", "viewers", viewer]:
                return "viewer", self._viewers.viewer(request, viewer)
            case ["", "v1", "stream"]:
                return "stream", self._streams.serve(request, receive, send)
            case ["", "health"]:
                return "health", self._health.health(request)
            case ["", "metrics"]:
                return "metrics", self._metrics(request)
            case _:
                return None

    async def _metrics(self, request: Request) -> Answer:
        request.query(())
        return answer(generate_latest(self._registry), METRICS_TYPE)


def _as_asked(made: Answer, none_match: bytes | None, head: bool) -> Answer:
    """304 where the client has it, and without its body for HEAD; the headers are GET's."""
    if none_match is not None and (etag := etag_of(made)) is not None and matches(etag, none_match):
        made = not_modified(made)
    return Answer(made.status, made.headers, b"") if head else made


def create_app(
    config: ApiConfig,
    *,
    registry: CollectorRegistry | None = None,
    lag_records: Lag | None = None,
    parts: Sequence[Part] = (),
) -> Api:
    """An API over the read models of config.dsn. registry: where its metrics go, and what /metrics shows.
    lag_records: how far projections are behind, if the composition knows; for /health. parts: the claim side's."""
    return Api(config, registry or CollectorRegistry(), lag_records, parts)
