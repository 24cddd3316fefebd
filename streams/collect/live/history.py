"""History of a channel from a recent-messages service, and which part of it that service can vouch for. After a gap.

The service (robotty/recent-messages2 and its like) keeps the newest lines of a channel, 800 by default:
GET {url} -> JSON {"messages": [raw lines], "error", "error_code"}. In: a channel and a gap. Out: its events there, and
the interval of it that the answer covers without doubt, for which only lines of its room-id vouch. Off unless a URL is
set.
"""

import asyncio
import re
from collections import deque
from dataclasses import dataclass
from types import TracebackType
from typing import Final, NamedTuple

import aiohttp
import msgspec
import numpy as np

from schemas.columns import EventColumns
from schemas.errors import TwzrdError
from schemas.identity import ID_PREFIX
from streams.collect.chunk import Chunk, Rows, assemble
from streams.collect.irc import Malformed, parse_line
from streams.collect.live.metrics import CollectMetrics
from streams.collect.twitch import Event, read_message

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""800 lines with tags are about 0.5 MB."""
MAX_LINES: Final = 10_000
TIMEOUT_S: Final = 10.0
MARGIN_MS: Final = 1_000
"""Lines arrive up to 0.4 s out of order, so the edges of what was returned are not vouched for (design: Time)."""
_LOGIN: Final = re.compile(r"[a-z0-9_]{1,64}")


class HistoryError(TwzrdError):
    """The service gave nothing that can be used; the message says why, and quotes nothing of chat."""


class HistoryUrlError(TwzrdError):
    """A URL template that cannot be used."""


class Recovered(NamedTuple):
    """events: all of the channel in the gap that were returned, whether vouched for or not. [from_ms, to_ms): the part
    of the gap that the service saw whole; empty (from_ms >= to_ms) where there is none. gone_before_ms: what lies
    before it the service no longer has, now or ever; from_ms of the gap where that is not known."""

    events: EventColumns
    from_ms: int
    to_ms: int
    gone_before_ms: int


class _Answer(msgspec.Struct):
    messages: list[str] = msgspec.field(default_factory=list)
    error: str | None = None
    error_code: str | None = None


_decoder = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class PerMinute:
    """At most `requests` in any minute: when may the next be made?"""

    requests: int
    _made: deque[float]

    @classmethod
    def of(cls, requests: int) -> "PerMinute":
        return cls(requests, deque())

    def wait_s(self, now_s: float) -> float:
        """Seconds until a request may be made; it counts as made then."""
        while self._made and self._made[0] <= now_s - 60:
            self._made.popleft()
        due_s = now_s if len(self._made) < self.requests else self._made[len(self._made) - self.requests] + 60
        self._made.append(due_s)
        return due_s - now_s


class HistoryClient:
    """Asks the service. metrics: counts requests, failures by reason, lines read and not. `async with` it."""

    def __init__(
        self,
        url_template: str,
        per_minute: int = 60,
        timeout_s: float = TIMEOUT_S,
        *,
        metrics: CollectMetrics | None = None,
    ) -> None:
        """url_template: http(s), with {channel} where the login goes. Raises HistoryUrlError."""
        if "{channel}" not in url_template or not url_template.startswith(("https://", "http://")):
            raise HistoryUrlError(
                f"history URL {url_template!r} cannot be used; give one as "
                "https://host/api/v2/recent-messages/{channel}?limit=800"
            )
        self.metrics = metrics or CollectMetrics()
        self._template = url_template
        self._limit = PerMinute.of(per_minute)
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "HistoryClient":
        self._session = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, channel: str, login: str, from_ms: int, to_ms: int) -> Recovered:
        """What the service has of [from_ms, to_ms) of a channel (identity and login). Waits where too much was asked
        in this minute. Raises HistoryError."""
        if not _LOGIN.fullmatch(login):
            raise HistoryError("the channel's login is not one that a URL may hold")
        if (wait_s := self._limit.wait_s(asyncio.get_running_loop().time())) > 0:
            self.metrics.history_waits_total += 1
            await asyncio.sleep(wait_s)
        self.metrics.history_requests_total += 1
        return self._read(await self._get(login), channel, from_ms, to_ms)

    async def _get(self, login: str) -> list[str]:
        assert self._session is not None, "used outside of `async with`"
        try:
            async with self._session.get(self._template.replace("{channel}", login)) as answer:
                if answer.status != 200:
                    self.metrics.history_failures_total[f"status {answer.status // 100}xx"] += 1
                    raise HistoryError(f"the service answered {answer.status}")
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > MAX_BODY_BYTES:
                        self.metrics.history_failures_total["too long"] += 1
                        raise HistoryError(f"the answer is over {MAX_BODY_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError) as error:
            self.metrics.history_failures_total["unreachable"] += 1
            raise HistoryError(f"the service cannot be reached: {type(error).__name__}") from error
        try:
            said = _decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.metrics.history_failures_total["not understood"] += 1
            raise HistoryError("the answer is not the JSON it should be") from error
        if said.error_code or said.error:
            # It may return lines all the same; but it was not there, so it can vouch for nothing.
            self.metrics.history_failures_total["error said"] += 1
            raise HistoryError("the service says that it does not follow the channel")
        return said.messages[-MAX_LINES:]

    def _read(self, messages: list[str], channel: str, from_ms: int, to_ms: int) -> Recovered:
        rows = Rows()
        oldest_ms, newest_ms = 2**63 - 1, 0
        for number, message in enumerate(messages, 1):
            self.metrics.history_lines_total += 1
            try:
                parsed = parse_line(message.encode("utf-8", "surrogatepass"))
                read = read_message(parsed)
            except (Malformed, UnicodeEncodeError):
                self.metrics.history_lines_not_read_total += 1
                continue
            room_id = parsed.tags.get(b"room-id", b"")
            if room_id and ID_PREFIX + room_id.decode(errors="replace") != channel:
                self.metrics.history_lines_foreign_total += 1
                continue
            sent_ms = _number(parsed.tags.get(b"tmi-sent-ts", b"")) or _number(parsed.tags.get(b"rm-received-ts", b""))
            # Copies and cleared rooms too show that the service was listening then; where no room is named, the login
            # may have been another channel's.
            if sent_ms and room_id:
                oldest_ms, newest_ms = min(oldest_ms, sent_ms), max(newest_ms, sent_ms)
            # Without an id of its own a line that was written anew cannot be known as the one that came live.
            if isinstance(read, Event) and read.id is not None and from_ms <= read.at_ms < to_ms and room_id:
                rows.add(number, read, b"")
        chunk = assemble(Chunk(1, len(messages)), rows)
        events = chunk.channels[channel][1] if channel in chunk.channels else no_events()
        if not newest_ms:
            return Recovered(events, from_ms, from_ms, from_ms)
        first_ms = max(from_ms, oldest_ms + MARGIN_MS)
        return Recovered(events, first_ms, min(to_ms, newest_ms - MARGIN_MS), first_ms)


def no_events() -> EventColumns:
    """Columns of nothing."""
    none = np.zeros(0, np.uint32)
    return EventColumns([], none.astype(np.int64), np.zeros((0, 16), np.uint8), none.astype(np.uint8), none, none)


def _number(raw: bytes) -> int:
    return int(raw) if raw.isdigit() and len(raw) <= 15 else 0
