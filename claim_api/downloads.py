"""Sends large answers (leaf dumps) in pieces, as fast as their clients take them.

In: an answer. Out: ASGI messages. The HTTP server copies what it is given and keeps it until the client has read it, so
a dump given at once would cost its size again for each client that reads slowly. Sending a piece waits for the client;
one that takes nothing in time, or takes too long in all, is let go.
"""

import asyncio
from typing import Any, Final

from claim_api.answer import Answer
from claim_api.config import ApiConfig
from claim_api.counters import Counters
from claim_api.errors import busy

WHOLE_BYTES: Final = 512 * 1024
"""Answers up to here are sent at once."""
PIECE_BYTES: Final = 256 * 1024


class Downloads:
    """Large answers under way in one process."""

    def __init__(self, config: ApiConfig, counters: Counters) -> None:
        self._bounds, self._piece_s, self._counters = config.bounds, config.send_timeout_s, counters
        self._under_way = 0
        counters.gauges["downloads"] = lambda: self._under_way

    def check_room(self) -> None:
        """Raises ApiError 503 where too many are under way."""
        if self._under_way >= self._bounds.downloads:
            raise busy("downloads", self._bounds.downloads)

    async def send(self, made: Answer, send: Any) -> None:
        """All of it; where the client is too slow what is left is not sent, and the connection ends."""
        self._under_way += 1
        body = memoryview(made.body)
        try:
            async with asyncio.timeout(self._bounds.download_s):
                await send({"type": "http.response.start", "status": made.status, "headers": made.headers})
                for at in range(0, len(body), PIECE_BYTES):
                    piece = bytes(body[at : at + PIECE_BYTES])
                    more = at + PIECE_BYTES < len(body)
                    async with asyncio.timeout(self._piece_s):
                        await send({"type": "http.response.body", "body": piece, "more_body": more})
        except TimeoutError:
            self._counters.events["downloads_too_slow"] += 1
        finally:
            self._under_way -= 1
