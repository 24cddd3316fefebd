"""Format `ndjson`: one event a line as a JSON object, in one of three forms told apart by their time's name.

Ours, `at_ms`: {"channel": identity or login, "channel_login", "at_ms", "id": UUID, 32 hex digits or any text,
  "kind": name or number, "viewer": identity, "login", "amount"}; only channel, at_ms, kind and one of viewer and login
  must be there (a viewer that is not `twitch:login:` needs its login).
The original collector's, `ts`: {ts, type, channel, user, targetUser, count, bits, text, msgId, ircId}. ts is ms UTC or
  ISO 8601 (without offset: UTC); users are logins. `usernotice` is told apart by msgId. count is a raid's viewers; a
  gift of more than one is a mystery gift, so a notice. The id is ircId; msgId where that is missing and it is a UUID.
Generated load, `ts_ms`: {ts_ms, channel, user_id, login, kind, text}.

Fields not named are ignored. Where there is no id it is derived from the line. Text is never kept.
"""

import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from schemas import identity as identities
from schemas.columns import BAN, DELETION, GIFT, KIND_NAMES, MESSAGE, NOTICE, RAID, RESUB, SUB
from schemas.errors import SchemaError
from streams.collect.chunk import BLANK_LINES, LINE_TOO_LONG, MAX_LINE_BYTES, Chunk, Rows, assemble, dead_line
from streams.collect.files.formats import BlockReader, LineFormat, ReadOptions, each_block
from streams.collect.files.lines import LineBlock
from streams.collect.irc import Malformed
from streams.collect.twitch import MAX_AMOUNT, Event, check_time, event_id, read_login

_KINDS: Final[dict[str, int]] = {name: kind for kind, name in enumerate(KIND_NAMES)} | {
    "bits": MESSAGE,
    "cheer": MESSAGE,
    "chat": MESSAGE,
    "privmsg": MESSAGE,
    "subscription": SUB,
    "resubscription": RESUB,
    "subgift": GIFT,
    "anonsubgift": GIFT,
    "submysterygift": NOTICE,
    "mysterygift": NOTICE,
    "usernotice": NOTICE,
    "announcement": NOTICE,
    "timeout": BAN,
    "clearchat": BAN,
    "delete": DELETION,
    "clearmsg": DELETION,
}
_HEX_ID: Final = re.compile(r"[0-9a-fA-F]{32}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class _Line(msgspec.Struct, gc=False, rename={"target_user": "targetUser", "msg_id": "msgId", "irc_id": "ircId"}):
    channel: str
    at_ms: int | None = None
    ts: int | float | str | None = None
    ts_ms: int | None = None
    kind: int | str | None = None
    type: str | None = None
    id: str | None = None
    irc_id: str | None = None
    msg_id: str | None = None
    channel_login: str | None = None
    viewer: str | None = None
    login: str | None = None
    user: str | None = None
    user_id: int | None = None
    target_user: str | None = None
    amount: int | None = None
    bits: int | None = None
    count: int | None = None


_decode = msgspec.json.Decoder(_Line).decode


def read_block(block: LineBlock) -> Chunk:
    """One block of JSON lines; pure."""
    chunk, rows = Chunk(block.first_line_number, 0, len(block.data)), Rows()
    lines = block.data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    chunk.lines = len(lines)
    for number, line in enumerate(lines, block.first_line_number):
        raw = line.removesuffix(b"\r")
        if not raw:
            chunk.counts[BLANK_LINES] += 1
            continue
        try:
            rows.add(number, read_event(raw), raw)
        except Malformed as error:
            chunk.dead.append(dead_line(number, str(error), raw))
    return assemble(chunk, rows)


def read_event(raw: bytes) -> Event:
    """The event of one line. Raises Malformed."""
    if len(raw) > MAX_LINE_BYTES:
        raise Malformed(LINE_TOO_LONG)
    try:
        line = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(f"not a JSON object of the documented form: {error}") from error
    except RecursionError as error:
        raise Malformed("not a JSON object of the documented form: it is nested too deeply") from error
    if line.at_ms is not None:
        return _ours(line, line.at_ms)
    if line.ts_ms is not None:
        return _generated(line, line.ts_ms)
    if line.ts is not None:
        return _original(line, line.ts)
    raise Malformed("object has none of at_ms, ts and ts_ms")


def _ours(line: _Line, at_ms: int) -> Event:
    if line.channel.startswith("twitch:"):
        channel = _checked(line.channel, "channel")
        login = _login(line.channel_login or channel.rpartition(":")[2], "channel")
    else:
        channel, login = _channel_of_login(line.channel)
    viewer, viewer_login = _viewer(line.viewer, line.login)
    identifier = line.id or ""
    return Event(
        channel,
        login,
        check_time(at_ms),
        bytes.fromhex(identifier) if _HEX_ID.fullmatch(identifier) else event_id(_encoded(identifier)),
        _kind(line.kind),
        viewer,
        viewer_login,
        _amount(line.amount),
    )


def _generated(line: _Line, at_ms: int) -> Event:
    channel, channel_login = _channel_of_login(line.channel)
    if line.user_id is None or line.user_id < 0:
        raise Malformed("user_id is not a number")
    viewer, login = _viewer(identities.of_id(str(line.user_id)), line.login)
    return Event(channel, channel_login, check_time(at_ms), None, _kind(line.kind), viewer, login, 0)


@lru_cache(maxsize=4_096)
def _channel_of_login(name: str) -> tuple[str, str]:
    login = _login(name.removeprefix("#"), "channel")
    return identities.LOGIN_PREFIX + login, login


def _original(line: _Line, ts: int | float | str) -> Event:
    channel, channel_login = _channel_of_login(line.channel)
    name = (line.type or "").lower()
    message_id = line.msg_id or ""
    kind = _kind(name)
    if name == "usernotice":
        kind = _KINDS.get(message_id.lower(), NOTICE)
    if kind == GIFT and (line.count or 1) > 1:
        kind = NOTICE
    viewer, login = _viewer(None, (line.target_user if kind in (BAN, DELETION) else None) or line.user)
    amount = line.bits if kind == MESSAGE else line.count if kind == RAID else 0
    identifier = line.irc_id or (message_id if _UUID.fullmatch(message_id) else "")
    return Event(
        channel,
        channel_login,
        check_time(_time(ts)),
        event_id(_encoded(identifier)),
        kind,
        viewer,
        login,
        _amount(amount),
    )


def _time(ts: int | float | str) -> int:
    if isinstance(ts, str):
        try:
            moment = datetime.fromisoformat(ts)
        except ValueError as error:
            raise Malformed("ts is not ISO 8601") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        whole = moment.replace(microsecond=0)
        return int(whole.timestamp()) * 1000 + moment.microsecond // 1000
    if not math.isfinite(ts) or ts != int(ts):
        raise Malformed("ts is not whole milliseconds")
    return int(ts)


@lru_cache(maxsize=65_536)
def _viewer(viewer: str | None, login: str | None) -> tuple[str, str]:
    if viewer is None:
        name = _login(login or "", "user")
        return identities.LOGIN_PREFIX + name, name
    if login is None and viewer.startswith(identities.LOGIN_PREFIX):
        login = viewer.removeprefix(identities.LOGIN_PREFIX)
    return _checked(viewer, "viewer"), _login(login or "", "user")


def _kind(kind: int | str | None) -> int:
    if isinstance(kind, str):
        found = _KINDS.get(kind.lower())
        if found is not None:
            return found
    elif kind is not None and 0 <= kind < len(KIND_NAMES):
        return kind
    raise Malformed("kind is unknown")


def _amount(amount: int | None) -> int:
    if not 0 <= (amount or 0) <= MAX_AMOUNT:
        raise Malformed("amount does not fit 32 bits")
    return amount or 0


def _login(login: str, of: str) -> str:
    return read_login(_encoded(login), of)


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Malformed("text is not Unicode") from error


@lru_cache(maxsize=4_096)
def _checked(identity: str, of: str) -> str:
    try:
        checked = identities.check(identity)
    except (SchemaError, UnicodeEncodeError) as error:
        raise Malformed(f"{of} is not an identity") from error
    if checked.startswith(identities.LOGIN_PREFIX):
        name = checked.removeprefix(identities.LOGIN_PREFIX)
        if _login(name, of) != name:
            raise Malformed(f"{of} is not an identity in lowercase")
    return checked


def block_reader(source: str, options: ReadOptions) -> BlockReader:
    return read_block


def recognises(line: bytes) -> int:
    return 10 if line.lstrip().startswith(b"{") else 0


FORMAT = LineFormat("ndjson", recognises, each_block(block_reader), block_reader)
