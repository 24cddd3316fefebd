"""A recent-messages service beside the local server: the newest lines of every channel, from what was said.

Answers as the field's service does (robotty/recent-messages2): JSON {messages, error, error_code}, lines written anew
with sorted tags, `historical`, `rm-received-ts`, and no ':' before a one-word text.
"""

from collections import deque
from typing import Final

import orjson
from aiohttp import web

from streams.collect.irc import Message, format_line, parse_line
from streams.collect.twitch_sim.block import Block
from streams.collect.twitch_sim.rooms import Rooms

KEPT_LINES: Final = 800
"""Of each channel, as the field's service keeps."""
PATH: Final = "/api/v2/recent-messages/{channel}"


class RecentMessages:
    """Hears what the stage says, and serves it. It is a Listener."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._kept: list[deque[tuple[int, bytes]]] = [deque(maxlen=KEPT_LINES) for _ in rooms.all]
        self._runner: web.AppRunner | None = None
        self.requests = 0
        self.port = 0

    def heard(self, block: Block, start: int, end: int, now_ms: int) -> None:
        """See stage.Listener."""
        for row in range(start, end):
            self._kept[int(block.channel[row])].append((now_ms, block.line(row)))

    async def start(self, host: str, port: int) -> None:
        """Serve HTTP; port 0 takes a free one."""
        app = web.Application()
        app.router.add_get(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        self.port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.requests += 1
        room = self._rooms.of(request.match_info["channel"].lower())
        if room is None:
            body: dict[str, object] = {
                "messages": [],
                "error": "The bot is currently not joined to this channel (in progress or failed previously)",
                "error_code": "channel_not_joined",
            }
        else:
            limit = request.query.get("limit", "")
            newest = list(self._kept[room.index])[-(int(limit) if limit.isdigit() else KEPT_LINES) :]
            lines = [exported(line, received_ms).decode("utf-8", "replace") for received_ms, line in newest]
            body = {"messages": lines, "error": None, "error_code": None}
        return web.Response(body=orjson.dumps(body), content_type="application/json")


def exported(line: bytes, received_ms: int) -> bytes:
    """A line as the service writes it, without line end."""
    read = parse_line(line.removesuffix(b"\r\n"))
    tags = {**read.tags, b"historical": b"1", b"rm-received-ts": b"%d" % received_ms}
    return format_line(Message(read.verb, read.params, read.source, dict(sorted(tags.items()))))
