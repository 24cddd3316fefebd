"""The projections of `twzrd raw`: events one by one, and what was said where the operator keeps it.

In: `chat.events`, `chat.text`. Out: twitch_events_raw and twitch_messages_raw, each event once whoever collected it;
and NDJSON day files, by the day on which the log took a record in, with what each record says. A viewer who is opted
out by then does not appear, even where the log still knows them. Nothing that seals reads any of it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import orjson

from projections.alarms import raise_alarm
from projections.day_files import DayFiles, day_of
from projections.port import Projection
from projections.source import Entry
from projections.sql import sql
from schemas import text as texts
from schemas.columns import KIND_NAMES
from schemas.envelope import Envelope
from schemas.errors import SchemaError
from streams.log.port import CHAT_EVENTS, CHAT_TEXT, LogRecord

DAY_MS: Final = 86_400_000
Suppressed = Callable[[str, str], bool]
"""(identity, login) -> whether that viewer opted out, or may have: a deletion names its author by login alone."""


@dataclass(slots=True)
class RawCounters:
    """What was written, and what was not."""

    rows_total: int = 0
    suppressed_total: int = 0
    """Events and messages of viewers who opted out after the log took them in."""


class _Raw(Projection):
    """What both have in common: day files beside a table, and the opted-out left out."""

    version: ClassVar[int] = 1

    def __init__(self, files: DayFiles, suppressed: Suppressed) -> None:
        self.counters = RawCounters()
        self.files = files
        self._suppressed = suppressed

    def rolled_back(self) -> None:
        self.files.forget()


class RawEvents(_Raw):
    """Every event of chat.events; without text, which envelopes do not bear."""

    name: ClassVar[str] = "raw_events"
    stream: ClassVar[str] = CHAT_EVENTS
    tables: ClassVar[tuple[str, ...]] = ("twitch_events_raw",)

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        rows = []
        days: dict[str, bytearray] = {}
        for entry in entries:
            if not isinstance(entry.item, Envelope):
                continue
            try:
                found = list(self._rows(entry, entry.item))
            except SchemaError:
                continue  # the worker's dead letter names it
            lines = days.setdefault(day_of(entry.time_ms), bytearray()) if found else bytearray()
            for n, row in enumerate(found):
                lines += _event_line(row, n)
            rows += found
        if rows:
            await connection.execute(sql("insert_raw_events"), *map(list, zip(*rows, strict=True)))
            await self.files.write(connection, {day: bytes(lines) for day, lines in days.items()})
        self.counters.rows_total += len(rows)

    def _rows(self, entry: Entry, said: Envelope) -> Iterator[tuple[Any, ...]]:
        columns = said.columns()
        viewers = list(said.viewers)
        dropped = {who for who, pair in enumerate(viewers) if self._suppressed(*pair)}
        values = zip(
            columns.at.tolist(), columns.kind.tolist(), columns.who.tolist(), columns.amount.tolist(), strict=True
        )
        for index, (at_ms, kind, who, amount) in enumerate(values):
            if who in dropped:
                self.counters.suppressed_total += 1
                continue
            viewer, login = viewers[who]
            event_id = columns.ids[index].tobytes()
            yield (
                said.channel, event_id, at_ms, said.login, kind, viewer, login, amount, entry.partition, entry.offset
            )  # fmt: skip


class RawMessages(_Raw):
    """Every message of chat.text."""

    name: ClassVar[str] = "raw_messages"
    stream: ClassVar[str] = CHAT_TEXT
    tables: ClassVar[tuple[str, ...]] = ("twitch_messages_raw",)

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        rows = []
        days: dict[str, bytearray] = {}
        for entry in entries:
            assert isinstance(entry.item, LogRecord)
            try:
                said = texts.decode(entry.item.value)
            except SchemaError as error:
                where = f"{CHAT_TEXT}/{entry.partition}/{entry.offset}"
                await raise_alarm(connection, "undecodable_record", where, {"reason": str(error)})
                continue
            for line in said.lines:
                if self._suppressed(line.viewer, line.login):
                    self.counters.suppressed_total += 1
                    continue
                row = (said.channel, line.id, line.at_ms, line.viewer, line.login, line.text)
                rows.append(row)
                days.setdefault(day_of(entry.time_ms), bytearray()).extend(_message_line(row, said.login, entry.offset))
        if rows:
            await connection.execute(sql("insert_raw_messages"), *map(list, zip(*rows, strict=True)))
            await self.files.write(connection, {day: bytes(lines) for day, lines in days.items()})
        self.counters.rows_total += len(rows)


async def expire(connection: Any, now_ms: int, keep_days: int) -> None:
    """Delete rows of events that happened more than keep_days ago."""
    before_ms = now_ms - keep_days * DAY_MS
    await connection.execute(sql("expire_raw_events"), before_ms)
    await connection.execute(sql("expire_raw_messages"), before_ms)


def _event_line(row: tuple[Any, ...], n: int) -> bytes:
    channel, event_id, at_ms, channel_login, kind, viewer, login, amount, partition, offset = row
    return orjson.dumps(
        {
            "at_ms": at_ms,
            "id": event_id.hex(),
            "kind": KIND_NAMES[kind],
            "channel": channel,
            "channel_login": channel_login,
            "viewer": viewer,
            "login": login,
            "amount": amount,
            "partition": partition,
            "offset": offset,
            "n": n,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _message_line(row: tuple[Any, ...], channel_login: str, offset: int) -> bytes:
    channel, event_id, at_ms, viewer, login, message = row
    return orjson.dumps(
        {
            "at_ms": at_ms,
            "id": event_id.hex(),
            "channel": channel,
            "channel_login": channel_login,
            "viewer": viewer,
            "login": login,
            "message": message,
            "offset": offset,
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )
