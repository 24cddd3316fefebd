"""GET /v1/stream: server-sent events of seals and live boards (HTML standard, section 9.2), resumable.

In: an ASGI request. Out: `seal` events in order of their id, each exactly once above Last-Event-ID, `board` events with
the newest state of a channel's open hour, and a comment as heartbeat. Clients are bounded; see claim_api.hub for why
there are no queues. Granian's ASGI send waits for the client; one that takes nothing in time is let go.
"""

import asyncio
import time
from typing import Any, Final

from claim_api.answer import API_CSP, SECURITY, Headers
from claim_api.config import ApiConfig
from claim_api.counters import Counters
from claim_api.epochs import channel_name
from claim_api.errors import ApiError, busy, database_away
from claim_api.hub import Hub, seal_event
from claim_api.index import SealIndex
from claim_api.request import Request, whole
from claim_api.watcher import Watcher
from projections import read
from projections.read import Database

MAX_EVENT_ID: Final = 2**31 - 1
CHUNK_SEALS: Final = 200
CHUNK_BYTES: Final = 64 * 1024
RETRY: Final = b"retry: 2000\n\n"
HEARTBEAT: Final = b": heartbeat\n\n"
HEADERS: Final[Headers] = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
    (b"content-security-policy", API_CSP),
    *SECURITY,
]


class Streams:
    """All streams of the process."""

    def __init__(
        self,
        config: ApiConfig,
        database: Database,
        index: SealIndex,
        hub: Hub,
        watcher: Watcher,
        counters: Counters,
    ) -> None:
        self._config, self._database, self._index, self._hub, self._counters = config, database, index, hub, counters
        self._watcher = watcher
        self._reads = asyncio.Semaphore(config.bounds.stream_reads)
        self.stopping = asyncio.Event()
        counters.gauges["stream_clients"] = lambda: self._hub.clients

    async def serve(self, request: Request, receive: Any, send: Any) -> None:
        """One stream until the client leaves or the server stops. Raises ApiError before anything was sent."""
        fields = request.query(("channel", "after"))
        channel = await self._index.channel(channel_name(fields["channel"])) if "channel" in fields else None
        await self._started()
        cursor = self._cursor(request, fields)
        limit = self._config.bounds.stream_clients
        if self._hub.clients >= limit:
            raise busy("streams", limit, 429)
        self._hub.came()
        if self._hub.clients == 1:
            # Boards are not read while nobody looks.
            self._watcher.wake()
        try:
            await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
            if request.head:
                await send({"type": "http.response.body", "body": b""})
            else:
                await _Stream(self, send, cursor, channel).run(receive)
        finally:
            self._hub.left()

    async def _started(self) -> None:
        """Until the newest seal is known; without it a stream would begin at the wrong place."""
        try:
            async with asyncio.timeout(self._config.query_timeout_s):
                await self._hub.started.wait()
        except TimeoutError as error:
            raise database_away() from error

    def _cursor(self, request: Request, fields: dict[str, str]) -> int:
        """After which seal the stream begins: the header of a client that comes again goes before ?after=."""
        given = request.header(b"last-event-id")
        text = fields.get("after") if given is None else given.decode("latin-1")
        if text is None:
            return self._hub.head
        # A cursor ahead of all seals is from another database; from now on is the best that can be done.
        return min(whole("Last-Event-ID", text, 0, MAX_EVENT_ID), self._hub.head)

    def placed(self, cursor: int, starts: int) -> tuple[int, int]:
        """The cursor, back at the newest seal where the database was restored since `starts`; and starts now. A cursor
        may else be ahead of the newest seal in memory: its client read the database, which is newer."""
        return (cursor if starts == self._hub.starts else min(cursor, self._hub.head)), self._hub.starts

    async def next_seals(self, cursor: int, channel: str | None) -> tuple[int, list[bytes]]:
        """Events above the cursor, from memory, or from the database for one that is far behind."""
        if cursor >= self._hub.floor:
            return self._hub.seals_after(cursor, channel, CHUNK_SEALS)
        async with self._reads:
            seals = await read.seals_after(self._database, cursor, CHUNK_SEALS)
        self._counters.events["stream_reads"] += 1
        if not seals:
            return self._hub.floor, []
        return seals[-1].seal_id, [seal_event(seal) for seal in seals if channel is None or seal.channel == channel]

    async def deliver(self, send: Any, events: list[bytes]) -> None:
        """Send events, in chunks; raises TimeoutError where the client does not take one in time."""
        chunk: list[bytes] = []
        size = 0
        for event in [*events, b""]:
            if chunk and (not event or size + len(event) > CHUNK_BYTES):
                body = b"".join(chunk)
                async with asyncio.timeout(self._config.send_timeout_s):
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                self._counters.events["stream_bytes"] += len(body)
                chunk, size = [], 0
            chunk.append(event)
            size += len(event)
        self._counters.events["stream_events"] += len(events)

    def grown(self) -> asyncio.Event:
        """Set when there is something new; taken before looking, so that nothing is missed in between."""
        return self._hub.grown

    def boards_after(self, cursor: int, channel: str | None) -> tuple[int, list[bytes]]:
        return self._hub.boards_after(cursor, channel)

    @property
    def heartbeat_s(self) -> float:
        return self._config.heartbeat_s

    def count(self, name: str) -> None:
        self._counters.events[name] += 1


class _Stream:
    """One client's place."""

    def __init__(self, streams: Streams, send: Any, cursor: int, channel: str | None) -> None:
        self._streams, self._send, self._cursor, self._channel = streams, send, cursor, channel
        self._board_cursor = 0
        _, self._starts = streams.placed(cursor, 0)
        self._sent_at_s = time.monotonic()

    async def run(self, receive: Any) -> None:
        """Until the client is gone, is too slow, or the server stops."""
        leaving = asyncio.create_task(_left(receive))
        stopping = asyncio.create_task(self._streams.stopping.wait())
        try:
            await self._streams.deliver(self._send, [RETRY])
            while not (leaving.done() or stopping.done()):
                grown = self._streams.grown()
                if not await self._catch_up():
                    await self._wait(grown, leaving, stopping)
            if not leaving.done():
                await self._send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            self._streams.count("stream_clients_too_slow")
        except ApiError:
            # The database went away in the middle: the client comes again with its Last-Event-ID.
            self._streams.count("stream_clients_cut")
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            leaving.cancel()
            stopping.cancel()

    async def _catch_up(self) -> bool:
        """Send what is new; False where nothing was."""
        self._cursor, self._starts = self._streams.placed(self._cursor, self._starts)
        cursor, seals = await self._streams.next_seals(self._cursor, self._channel)
        self._board_cursor, boards = self._streams.boards_after(self._board_cursor, self._channel)
        if seals or boards:
            await self._deliver(seals + boards)
        moved = cursor != self._cursor
        self._cursor = cursor
        return moved or bool(boards)

    async def _deliver(self, events: list[bytes]) -> None:
        await self._streams.deliver(self._send, events)
        self._sent_at_s = time.monotonic()

    async def _wait(self, grown: asyncio.Event, *ends: "asyncio.Task[Any]") -> None:
        """Until there may be something new; beats where nothing was sent for so long, whatever other clients got."""
        left_s = self._sent_at_s + self._streams.heartbeat_s - time.monotonic()
        if left_s <= 0:
            await self._deliver([HEARTBEAT])
            return
        waking = asyncio.create_task(grown.wait())
        try:
            await asyncio.wait({waking, *ends}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()


async def _left(receive: Any) -> None:
    """Returns when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
