"""Records of `epoch.sealed`: what workers say. Seals in parts with the header last, late notices, closings."""

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.body import SealBody as SealBody
from schemas.body import decode_body as decode_body
from schemas.body import encode_body as encode_body
from schemas.errors import SchemaError
from schemas.seal import Interval, SealHeader, decode_header, leaf_preimages
from schemas.versions import raise_if_newer

VERSION: Final = 1
MAX_PART_BYTES: Final = 512 * 1024
"""No record of `epoch.sealed` bears more of a body than this."""


class Stats(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Counts beside a seal, for people: not part of any hash (a second delivery changes `duplicates`)."""

    events: int
    duplicates: int
    conflicts: int
    excluded: int


class Part(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="part"):
    """One piece of a seal's compressed body; parts of a seal precede its header, in order of index."""

    v: int
    channel: str
    epoch_start_s: int
    revision: int
    index: int
    blob: bytes


class Seal(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="seal"):
    """A sealed epoch. from_offset and through_offset name the records of `chat.events` it was folded from;
    closed_by is "watermark", "end" or "reseal"; body is inline where parts is 0, else the parts joined;
    frontier_ms is the channel's when the epoch closed (None at its end), and after_ms says up to when the channel was
    closed before: for a worker that starts after it."""

    v: int
    channel: str
    login: str
    epoch_start_s: int
    revision: int
    header: bytes
    policy: bytes
    coverage: list[tuple[int, int, str]]
    stats: Stats
    from_offset: int
    through_offset: int
    closed_by: str
    parts: int
    body_hash: bytes
    body: bytes
    frontier_ms: int | None = None
    after_ms: int = 0


class Late(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="late"):
    """count events of one record (at offset) came after their epoch had closed; they wait for a reseal."""

    v: int
    channel: str
    login: str
    epoch_start_s: int
    offset: int
    count: int


class Closed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="closed"):
    """Epochs [from_s, until_s) of a channel closed without a seal: nobody observed them and nothing was said.
    closed_by "end" also says that the channel's input ended."""

    v: int
    channel: str
    login: str
    from_s: int
    until_s: int
    offset: int
    closed_by: str
    frontier_ms: int | None = None
    after_ms: int = 0


class ClosingWire(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The record of `chat.events` at `offset` closed every epoch that ends by until_ms; the rest as in Seal."""

    until_ms: int
    offset: int
    frontier_ms: int | None
    after_ms: int = 0


class Known(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="known"):
    """A summary, so that a worker need not read `epoch.sealed` from its beginning: every closing that its records
    below offset `through` tell of, as far as a worker needs it that starts at `start` of `chat.events` or later."""

    v: int
    through: int
    start: int
    closings: dict[str, list[ClosingWire]]


Record = Part | Seal | Late | Closed | Known

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Record] = msgspec.msgpack.Decoder(Record)


def encode_record(record: Record) -> bytes:
    """One record's bytes."""
    return _encoder.encode(record)


def decode_record(data: bytes) -> Record:
    """Strict reading. Raises UnknownVersion for a newer record, SchemaError for anything else amiss."""
    try:
        record = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise_if_newer(data, VERSION, "epoch.sealed record", place=1)
        raise SchemaError(f"epoch.sealed record of {len(data)} bytes does not decode: {error}") from error
    if record.v != VERSION:
        raise_if_newer(data, VERSION, "epoch.sealed record", place=1)
        raise SchemaError(f"epoch.sealed record version {record.v} does not exist; versions start at {VERSION}")
    return record


class SealedEpoch(msgspec.Struct, frozen=True):
    """A sealed epoch as the core makes it and as readers of `epoch.sealed` get it back."""

    header: SealHeader
    login: str
    policy: bytes
    coverage: list[Interval]
    stats: Stats
    from_offset: int
    through_offset: int
    closed_by: str
    body: SealBody
    frontier_ms: int | None = None
    after_ms: int = 0
    made_leaves: NDArray[np.uint8] | None = None
    """The preimages, where the root was just made of them."""

    def preimages(self) -> NDArray[np.uint8]:
        """(n, 96) leaf preimages, the content of the public leaf dump."""
        if self.made_leaves is not None:
            return self.made_leaves
        return leaf_preimages(self.header.channel, self.header.epoch_start_s, self.body.refs, self.body.counts)


def split_seal(sealed: SealedEpoch) -> list[Record]:
    """The records of one seal in their order: parts of at most MAX_PART_BYTES, then the header (with the body in
    it where it is small). Deterministic: the same seal gives the same bytes."""
    header, blob = sealed.header, encode_body(sealed.body)
    inline = len(blob) <= MAX_PART_BYTES
    pieces = [] if inline else [blob[at : at + MAX_PART_BYTES] for at in range(0, len(blob), MAX_PART_BYTES)]
    parts: list[Record] = [
        Part(VERSION, header.channel, header.epoch_start_s, header.revision, index, piece)
        for index, piece in enumerate(pieces)
    ]
    last = Seal(
        VERSION,
        header.channel,
        sealed.login,
        header.epoch_start_s,
        header.revision,
        header.encode(),
        sealed.policy,
        list(sealed.coverage),
        sealed.stats,
        sealed.from_offset,
        sealed.through_offset,
        sealed.closed_by,
        len(pieces),
        blake3(blob).digest(),
        blob if inline else b"",
        sealed.frontier_ms,
        sealed.after_ms,
    )
    return [*parts, last]


def join_seal(seal: Seal, parts: Sequence[bytes]) -> SealedEpoch:
    """Parts' blobs in order of index, and the header record, back to a sealed epoch; SchemaError if damaged."""
    blob = seal.body if seal.parts == 0 else b"".join(parts)
    if len(parts) != seal.parts or blake3(blob).digest() != seal.body_hash:
        raise SchemaError(
            f"seal of {seal.channel} at {seal.epoch_start_s} revision {seal.revision}: {len(parts)} of "
            f"{seal.parts} parts do not add up to the body it names; read epoch.sealed again"
        )
    return SealedEpoch(
        decode_header(seal.header),
        seal.login,
        seal.policy,
        list(seal.coverage),
        seal.stats,
        seal.from_offset,
        seal.through_offset,
        seal.closed_by,
        decode_body(blob),
        seal.frontier_ms,
        seal.after_ms,
    )
