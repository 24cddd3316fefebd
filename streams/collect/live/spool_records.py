"""Records as they stand in a segment of the spool. Pure but for `good_bytes`, which reads a file.

u32 length of body | u32 crc32 of body | body = u8 stream | u16 length of key | key | value        (little-endian)
"""

import struct
import zlib
from pathlib import Path
from typing import Final, NamedTuple

MAX_BODY_BYTES: Final = 16 << 20
"""Twice what the log takes; a length beyond it is damage."""
_HEAD: Final = struct.Struct("<II")
_BODY: Final = struct.Struct("<BH")
HEAD_BYTES: Final = _HEAD.size


class Spooled(NamedTuple):
    """One record. stream: a number the outbound gives each stream."""

    stream: int
    key: bytes
    value: bytes


def pack(record: Spooled) -> bytes:
    """The record as it stands in a segment."""
    body = _BODY.pack(record.stream, len(record.key)) + record.key + record.value
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def unpack(data: bytes, max_records: int) -> tuple[list[Spooled], int]:
    """Whole, undamaged records from the start of data, and how many bytes they take."""
    found: list[Spooled] = []
    at = 0
    while len(found) < max_records and at + _HEAD.size <= len(data):
        length, checksum = _HEAD.unpack_from(data, at)
        body = data[at + _HEAD.size : at + _HEAD.size + length]
        if not _BODY.size <= length <= MAX_BODY_BYTES or len(body) < length or zlib.crc32(body) != checksum:
            break
        stream, key_length = _BODY.unpack_from(body)
        key_end = _BODY.size + key_length
        if key_end > length:
            break
        found.append(Spooled(stream, body[_BODY.size : key_end], body[key_end:]))
        at += _HEAD.size + length
    return found, at


def record_bytes(data: bytes) -> int:
    """How long the record is whose head data begins with; bounded."""
    return HEAD_BYTES + min(int(_HEAD.unpack_from(data)[0]), MAX_BODY_BYTES)


def good_bytes(path: Path) -> int:
    """Where the first record begins that is not whole or is damaged: what lies behind it cannot be told apart."""
    good = 0
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            if not _BODY.size <= length <= MAX_BODY_BYTES:
                break
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                break
            good += _HEAD.size + length
    return good
