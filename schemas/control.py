"""Records of `control`: what tells collectors what to do, and what is told about them (spec: Records of `control`).

The stream is compacted by key: of each key the newest record is what holds. Bytes in, checked records out.
"""

import re
from typing import Final, Literal

import msgspec

from schemas import identity as identities
from schemas.columns import MAX_AT_MS, MIN_AT_MS
from schemas.errors import SchemaError, UnknownVersion
from schemas.versions import raise_if_newer

VERSION: Final = 1
MAX_TEXT_CHARS: Final = 500
"""Bound of a note, a reason, a title, a game."""
MAX_NAME_CHARS: Final = 100
"""Bound of who said it and of a collector's name."""
MAX_TRIED: Final = 10
"""Attempts that one report names; the newest are kept."""
MAX_BYTES: Final = 16 * 1024
"""No record of `control` is longer."""

Origin = Literal["operator", "discovery"]
"""Whose wish it is: both may want a channel, each takes back its own only."""
Ruling = Literal["allow", "deny", "none"]
Liveness = Literal["running", "stopped"]

_LOGIN = re.compile(r"[a-z0-9_]{1,64}")
_ROOM_ID = re.compile(r"[0-9]{1,20}")
_STATE = re.compile(r"[a-z_]{1,32}")


class Wanted(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="wanted"):
    """Collect this channel. room_id: its Twitch id in digits, where it is known."""

    v: int
    login: str
    room_id: str | None
    origin: Origin
    by: str
    at_ms: int
    note: str


class Unwanted(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="unwanted"):
    """That origin no longer wants the channel."""

    v: int
    login: str
    origin: Origin
    by: str
    at_ms: int
    note: str


class Ruled(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="ruled"):
    """An operator's word to the discovery: where any channel is allowed, only allowed ones are picked; denied ones
    never are, and what the discovery picked before the denial is not collected either."""

    v: int
    login: str
    ruling: Ruling
    by: str
    at_ms: int
    note: str


class Renamed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="renamed"):
    """The channel of that room id bore `login` and bears `to` now: an older wish for `login` stands for `to`."""

    v: int
    login: str
    to: str
    room_id: str
    by: str
    at_ms: int


class OptOut(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="optout"):
    """Drop this viewer's events before the log. viewer: an identity; `twitch:login:` stands for whoever bears it."""

    v: int
    viewer: str
    by: str
    at_ms: int
    note: str


class OptIn(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="optin"):
    """Take this viewer's events again."""

    v: int
    viewer: str
    by: str
    at_ms: int
    note: str


class Attempt(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One thing a collector tried for a channel, and what came of it."""

    at_ms: int
    what: str
    outcome: str


class ChannelState(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="state"):
    """How a channel stands at one collector since since_ms, why, and what was tried (oldest first)."""

    v: int
    login: str
    room_id: str | None
    collector: str
    state: str
    reason: str
    since_ms: int
    at_ms: int
    tried: list[Attempt]


class Heartbeat(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="heartbeat"):
    """A collector, since its start at since_ms: it runs, or it stopped in order. What was reported before since_ms is
    of an earlier start under the same name."""

    v: int
    collector: str
    state: Liveness
    since_ms: int
    at_ms: int


class Snapshot(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="snapshot"):
    """How many watched a live channel at at_ms, and what its streamer says is on. started_at_ms: of the broadcast."""

    v: int
    channel: str
    login: str
    at_ms: int
    viewers: int
    title: str
    game: str
    started_at_ms: int | None


Record = Wanted | Unwanted | Ruled | Renamed | OptOut | OptIn | ChannelState | Heartbeat | Snapshot

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def key(record: Record) -> bytes:
    """What the record speaks of: a newer record of the same key takes its place."""
    match record:
        case Wanted() | Unwanted():
            return f"wanted|{record.origin}|{record.login}".encode()
        case Ruled():
            return f"ruled|{record.login}".encode()
        case Renamed():
            return f"renamed|{record.login}".encode()
        case OptOut() | OptIn():
            return f"suppressed|{record.viewer}".encode()
        case ChannelState():
            return f"state|{record.collector}|{record.login}".encode()
        case Heartbeat():
            return f"heartbeat|{record.collector}".encode()
        case Snapshot():
            return f"snapshot|{record.channel}".encode()


def encode(record: Record) -> bytes:
    """One record's bytes. Raises SchemaError where a value does not fit its documented form."""
    _check(record)
    return _encoder.encode(record)


def decode(data: bytes) -> Record:
    """Strict reading. Raises UnknownVersion for a newer record, SchemaError for anything else amiss."""
    if len(data) > MAX_BYTES:
        raise SchemaError(f"control record of {len(data)} bytes is over the bound of {MAX_BYTES}")
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise_if_newer(data, VERSION, "control record", place=1)
        raise SchemaError(f"control record of {len(data)} bytes does not decode: {error}") from error
    _check(record)
    return record


def text(value: str, at_most: int = MAX_TEXT_CHARS) -> str:
    """Foreign text as a record takes it: cut to its bound, without U+0000 and without halves of surrogates."""
    return value.encode(errors="replace").decode().replace("\0", " ")[:at_most]


def login(name: str) -> str:
    """A channel or viewer login as records bear it: `#` and `@` off, lowercase. Raises SchemaError."""
    plain = identities.ascii_lower(name.strip().lstrip("#@"))
    if _LOGIN.fullmatch(plain) is None:
        raise SchemaError(f"{name[:80]!r} is no Twitch login; logins are 1 to 64 letters, digits and underscores")
    return plain


def _check(record: Record) -> None:
    if record.v > VERSION:
        raise UnknownVersion(f"control record of version {record.v} is newer than {VERSION}; update the program")
    if record.v != VERSION:
        raise SchemaError(f"control record version {record.v} does not exist; versions start at 1")
    _check_time(record.at_ms)
    match record:
        case Wanted() | ChannelState():
            _check_form(_LOGIN, "login", record.login)
            if record.room_id is not None:
                _check_form(_ROOM_ID, "room id", record.room_id)
        case Unwanted() | Ruled():
            _check_form(_LOGIN, "login", record.login)
        case Renamed():
            _check_form(_LOGIN, "login", record.login)
            _check_form(_LOGIN, "login", record.to)
            _check_form(_ROOM_ID, "room id", record.room_id)
            _check_text(record.by, at_most=MAX_NAME_CHARS)
            if record.login == record.to:
                raise SchemaError(f"control record: {record.login} renamed to itself is no rename")
        case OptOut() | OptIn():
            identities.check(record.viewer)
            _check_text(record.viewer, at_most=identities.MAX_IDENTITY_BYTES)
        case Snapshot():
            _check_form(_LOGIN, "login", record.login)
            identities.check(record.channel)
            _check_text(record.title, record.game)
            if not 0 <= record.viewers < 1 << 31:
                raise SchemaError(f"snapshot of {record.channel}: {record.viewers} viewers; they are 0..2^31-1")
            if record.started_at_ms is not None:
                _check_time(record.started_at_ms)
    match record:
        case Wanted() | Unwanted() | Ruled() | OptOut() | OptIn():
            _check_text(record.note)
            _check_text(record.by, at_most=MAX_NAME_CHARS)
        case ChannelState():
            _check_form(_STATE, "state", record.state)
            _check_text(record.reason)
            _check_text(record.collector, at_most=MAX_NAME_CHARS)
            _check_time(record.since_ms)
            if len(record.tried) > MAX_TRIED:
                raise SchemaError(f"state of {record.login} names {len(record.tried)} attempts, at most {MAX_TRIED}")
            for one in record.tried:
                _check_time(one.at_ms)
                _check_text(one.what, one.outcome)
        case Heartbeat():
            _check_text(record.collector, at_most=MAX_NAME_CHARS)
            _check_time(record.since_ms)


def _check_form(form: re.Pattern[str], name: str, value: str) -> None:
    if form.fullmatch(value) is None:
        raise SchemaError(f"control record: {name} {value[:80]!r} is not of the form {form.pattern}")


def _check_text(*values: str, at_most: int = MAX_TEXT_CHARS) -> None:
    for value in values:
        if len(value) > at_most or "\0" in value:
            raise SchemaError(f"control record: a text of {len(value)} characters; at most {at_most}, without U+0000")


def _check_time(at_ms: int) -> None:
    if not MIN_AT_MS <= at_ms < MAX_AT_MS:
        raise SchemaError(f"control record: {at_ms} ms is no time between 2011 and 2100")
