"""The body of a seal: its participants in leaf order, as columns, compressed. Private: it names them."""

from collections.abc import Sequence
from typing import Final, TypeVar

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from schemas.errors import SchemaError
from schemas.packed import encodable
from schemas.seal import LeafCounts

MAX_BODY_BYTES: Final = 1024 * 1024 * 1024
"""Bound on a body before compression; about 10 million participants of one channel's hour."""

LEVEL: Final = 1
"""Of zstd. Level 3 takes a quarter longer and saves nothing: a third of a body are refs, which do not compress."""

Wire = TypeVar("Wire")
_encoder = msgspec.msgpack.Encoder()


class SealBody(msgspec.Struct, frozen=True):
    """The participants of a sealed epoch, in leaf order: refs (n, 32), who they are, their counts, first and last
    seen (ms). logins[i] is the login of that viewer's latest event."""

    refs: NDArray[np.uint8]
    identities: Sequence[str]
    logins: Sequence[str]
    counts: LeafCounts
    first_ms: NDArray[np.int64]
    last_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.refs)


class _BodyWire(msgspec.Struct, array_like=True, frozen=True):
    refs: bytes
    identities: list[str]
    logins: list[str]
    weight_centi: bytes
    messages: bytes
    subs: bytes
    resubs: bytes
    gifts: bytes
    bits: bytes
    raid_viewers: bytes
    first_ms: bytes
    last_ms: bytes


_body_decoder = msgspec.msgpack.Decoder(_BodyWire)
_COUNT_TYPES: Final = {
    "weight_centi": "<u8",
    "messages": "<u4",
    "subs": "<u4",
    "resubs": "<u4",
    "gifts": "<u4",
    "bits": "<u8",
    "raid_viewers": "<u8",
}


def encode_body(body: SealBody) -> bytes:
    """Compressed bytes of a body: zstd over msgpack of columns."""
    counts = body.counts
    packed = _encoder.encode(
        (
            body.refs.tobytes(),
            encodable(body.identities),
            encodable(body.logins),
            *(getattr(counts, name).astype(form, copy=False).tobytes() for name, form in _COUNT_TYPES.items()),
            body.first_ms.astype("<i8", copy=False).tobytes(),
            body.last_ms.astype("<i8", copy=False).tobytes(),
        )
    )
    return zstandard.ZstdCompressor(level=LEVEL).compress(packed)


class _LeavesWire(msgspec.Struct, array_like=True, frozen=True):
    """A body of which only the leaves are decoded; whom they belong to stays packed."""

    refs: bytes
    identities: msgspec.Raw
    logins: msgspec.Raw
    weight_centi: bytes
    messages: bytes
    subs: bytes
    resubs: bytes
    gifts: bytes
    bits: bytes
    raid_viewers: bytes


_leaves_decoder = msgspec.msgpack.Decoder(_LeavesWire)


def decode_leaves(blob: bytes) -> tuple[NDArray[np.uint8], LeafCounts]:
    """Refs (n, 32) and counts alone: what proofs need, without a string per participant. Raises as decode_body."""
    wire = _decoded(blob, _leaves_decoder)
    return _leaves(wire, len(wire.refs) // 32)


def _decoded(blob: bytes, decoder: msgspec.msgpack.Decoder[Wire]) -> Wire:
    try:
        # The bound that decompress takes holds only where a frame does not state its size: a damaged one may state any.
        stated = zstandard.frame_content_size(blob)
        if stated > MAX_BODY_BYTES:
            raise SchemaError(f"seal body of {len(blob)} bytes states {stated} bytes, over {MAX_BODY_BYTES}")
        return decoder.decode(zstandard.ZstdDecompressor().decompress(blob, max_output_size=MAX_BODY_BYTES))
    except (zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"seal body of {len(blob)} bytes does not decode: {error}") from error


def _leaves(wire: _BodyWire | _LeavesWire, n: int) -> tuple[NDArray[np.uint8], LeafCounts]:
    packed = {name: getattr(wire, name) for name in _COUNT_TYPES}
    lengths = {name: len(packed[name]) / np.dtype(form).itemsize for name, form in _COUNT_TYPES.items()}
    if set(lengths.values()) - {n} or len(wire.refs) != 32 * n:
        raise SchemaError(f"seal body of {n} participants has columns of lengths {lengths}; all must agree")
    counts = LeafCounts(**{name: np.frombuffer(packed[name], form) for name, form in _COUNT_TYPES.items()})
    return np.frombuffer(wire.refs, np.uint8).reshape(n, 32), counts


def decode_body(blob: bytes) -> SealBody:
    """The participants. Raises SchemaError where the bytes are damaged or the columns differ in length."""
    wire = _decoded(blob, _body_decoder)
    n = len(wire.identities)
    refs, counts = _leaves(wire, n)
    if len(wire.logins) != n or len(wire.first_ms) != 8 * n or len(wire.last_ms) != 8 * n:
        raise SchemaError(f"seal body of {n} identities has {len(wire.logins)} logins, or other times; all must agree")
    return SealBody(
        refs,
        wire.identities,
        wire.logins,
        counts,
        np.frombuffer(wire.first_ms, "<i8"),
        np.frombuffer(wire.last_ms, "<i8"),
    )
