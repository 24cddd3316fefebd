"""Records of `chat.text`: what was said, only where the operator keeps it (law 5; spec: Records of `chat.text`)."""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas import identity as identities
from schemas.columns import MAX_AT_MS, MIN_AT_MS
from schemas.errors import SchemaError
from schemas.versions import raise_if_newer

VERSION: Final = 1
MAX_LINES: Final = 200
MAX_TEXT_CHARS: Final = 4_000
"""Twitch itself takes 500."""
MAX_BYTES: Final = 4 * 1024 * 1024


class Line(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One message. id: its event's, 16 bytes; viewer: the identity of who said it."""

    id: bytes
    at_ms: int
    viewer: str
    login: str
    text: str


class TextRecord(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Some messages of one channel, in order of arrival."""

    v: int
    channel: str
    login: str
    lines: list[Line]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(TextRecord)


def encode(channel: str, login: str, lines: Sequence[Line]) -> bytes:
    """One record's bytes; its key is the channel's identity. Raises SchemaError; messages never stand in errors."""
    record = TextRecord(VERSION, channel, login, list(lines))
    _check(record)
    return _encoder.encode(record)


def decode(data: bytes) -> TextRecord:
    """Strict reading. Raises UnknownVersion for a newer record, SchemaError for anything else amiss."""
    if len(data) > MAX_BYTES:
        raise SchemaError(f"text record of {len(data)} bytes is over the bound of {MAX_BYTES}")
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise_if_newer(data, VERSION, "text record")
        raise SchemaError(f"text record of {len(data)} bytes does not decode") from error
    if record.v != VERSION:
        raise_if_newer(data, VERSION, "text record")
        raise SchemaError(f"text record of version {record.v}; the first is {VERSION}")
    _check(record)
    return record


def _check(record: TextRecord) -> None:
    identities.check(record.channel)
    if len(record.lines) > MAX_LINES:
        raise SchemaError(f"text record of {len(record.lines)} lines; split it into {MAX_LINES} each")
    for line in record.lines:
        identities.check(line.viewer)
        if len(line.id) != 16 or not MIN_AT_MS <= line.at_ms < MAX_AT_MS or len(line.text) > MAX_TEXT_CHARS:
            raise SchemaError(
                f"text record of {record.channel}: a line with an id of {len(line.id)} bytes at {line.at_ms} and "
                f"{len(line.text)} characters; ids have 16 bytes, times lie in 2011..2099, texts at most "
                f"{MAX_TEXT_CHARS} characters"
            )
        if "\0" in line.text or "\0" in line.login or "\0" in line.viewer:
            raise SchemaError(f"text record of {record.channel}: a line bears U+0000, which no table takes")
