"""Seal header and leaf preimage: the fixed bytes that everybody recomputes (spec: Evidence tree)."""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.errors import SchemaError

MAGIC: Final = b"TWZRDSL1"
ALGORITHM_BLAKE3: Final = 1
MAX_REVISION: Final = 65_535
"""The header bears it as u16."""
LEAF_BYTES: Final = 96
LEAF_LAYOUT: Final = 1
EMPTY_HASH: Final = blake3(b"").digest()
COVERAGE_CODES: Final = {"live": 0, "recovered": 1, "absent": 2}
COVERAGE_NAMES: Final = ("live", "recovered", "absent")

_FRONT = struct.Struct("<8sBBHIQH")
_BACK = struct.Struct("<IQQ32s32s32s32s32s")
_INTERVAL = struct.Struct("<QQB")

LEAF_DTYPE: Final = np.dtype(
    {
        "names": [
            "prefix",
            "layout",
            "zero",
            "index",
            "epoch_start_s",
            "viewer_ref",
            "weight_centi",
            "messages",
            "subs",
            "resubs",
            "gifts",
            "bits",
            "raid_viewers",
            "epoch_tag",
        ],
        "formats": [
            "u1",
            "u1",
            "<u2",
            "<u4",
            "<u8",
            ("u1", 32),
            "<u8",
            "<u4",
            "<u4",
            "<u4",
            "<u4",
            "<u8",
            "<u8",
            ("u1", 8),
        ],
        "offsets": [0, 1, 2, 4, 8, 16, 48, 56, 60, 64, 68, 72, 80, 88],
        "itemsize": LEAF_BYTES,
    }
)
"""A leaf preimage as a numpy record; offsets are those of docs/spec.md."""


class SealHeader(msgspec.Struct, frozen=True):
    """The header of one sealed epoch. Hashes are 32 raw bytes; seconds; weight in hundredths."""

    revision: int
    epoch_length_s: int
    epoch_start_s: int
    channel: str
    leaf_count: int
    total_weight_centi: int
    total_messages: int
    root: bytes
    policy_hash: bytes
    input_digest: bytes
    coverage_hash: bytes
    pepper_commit: bytes

    def encode(self) -> bytes:
        """The canonical bytes. Raises SchemaError where a value does not fit its place: nothing is cut or filled up."""
        hashes = (self.root, self.policy_hash, self.input_digest, self.coverage_hash, self.pepper_commit)
        if {len(one) for one in hashes} != {32}:
            raise SchemaError(
                f"seal header of {self.channel[:80]}: its hashes have {[*map(len, hashes)]} bytes, not 32"
            )
        try:
            channel = self.channel.encode()
            return (
                _FRONT.pack(
                    MAGIC, ALGORITHM_BLAKE3, 0, self.revision, self.epoch_length_s, self.epoch_start_s, len(channel)
                )
                + channel
                + _BACK.pack(self.leaf_count, self.total_weight_centi, self.total_messages, *hashes)
            )
        except (struct.error, UnicodeEncodeError) as error:
            raise SchemaError(
                f"seal header of {self.channel[:80]!r} at {self.epoch_start_s}: {error}; compare with docs/spec.md, "
                "section Seal header"
            ) from error

    def hash(self) -> bytes:
        """seal_hash: blake3 of the canonical bytes."""
        return blake3(self.encode()).digest()


def decode_header(data: bytes) -> SealHeader:
    """Strict reading of canonical bytes; SchemaError names what is off."""
    if len(data) < _FRONT.size + _BACK.size:
        raise SchemaError(f"seal header of {len(data)} bytes is too short; it has at least {_FRONT.size + _BACK.size}")
    magic, algorithm, zero, revision, length_s, start_s, channel_len = _FRONT.unpack_from(data)
    if magic != MAGIC or algorithm != ALGORITHM_BLAKE3 or zero != 0:
        raise SchemaError(f"seal header starts with {data[:10].hex()}; it must start with {MAGIC!r}, algorithm 1, 0")
    if len(data) != _FRONT.size + channel_len + _BACK.size:
        raise SchemaError(
            f"seal header has {len(data)} bytes; with a channel of {channel_len} bytes it must have "
            f"{_FRONT.size + channel_len + _BACK.size}"
        )
    try:
        channel = data[_FRONT.size : _FRONT.size + channel_len].decode()
    except UnicodeDecodeError as error:
        raise SchemaError(f"seal header's channel is not UTF-8: {error}") from error
    leaf_count, weight, messages, root, policy, digest, coverage, pepper = _BACK.unpack_from(
        data, _FRONT.size + channel_len
    )
    return SealHeader(
        revision, length_s, start_s, channel, leaf_count, weight, messages, root, policy, digest, coverage, pepper
    )


def epoch_tag(channel: str, epoch_start_s: int) -> bytes:
    """16 bytes that name a channel's epoch: blake3(u16 len || channel || u64 epoch_start_s)[:16]."""
    name = channel.encode()
    return blake3(struct.pack("<H", len(name)) + name + struct.pack("<Q", epoch_start_s)).digest(16)


def pepper_commit(pepper: bytes) -> bytes:
    """blake3(0x04 || pepper): binds every header to the secret without showing it."""
    if len(pepper) != 32:
        raise SchemaError(f"pepper has {len(pepper)} bytes; it must have 32")
    return blake3(b"\x04" + pepper).digest()


def viewer_ref(identity: str, epoch_key: bytes) -> bytes:
    """blake3(0x02 || 0x01 || epoch_key || identity), the name of a viewer within one epoch."""
    return blake3(b"\x02\x01" + epoch_key + identity.encode()).digest()


def viewer_key(identity: str, pepper: bytes) -> bytes:
    """blake3(identity, key = pepper): secret, shown to that viewer only."""
    return blake3(identity.encode(), key=pepper).digest()


def epoch_key(viewer_key: bytes, tag: bytes) -> bytes:
    """blake3(epoch_tag, key = viewer_key): opens one viewer's one hour."""
    return blake3(tag, key=viewer_key).digest()


Interval = tuple[int, int, str]
"""(from_ms, to_ms, "live" | "recovered" | "absent"), half open."""


def coverage_hash(intervals: Sequence[Interval]) -> bytes:
    """blake3 of the joined coverage, each u64 from | u64 to | u8 kind; of nothing where none is stated. Raises
    SchemaError on another kind, or a time that is no u64."""
    try:
        return blake3(b"".join(_INTERVAL.pack(a, b, COVERAGE_CODES[kind]) for a, b, kind in intervals)).digest()
    except (struct.error, KeyError) as error:
        raise SchemaError(f"coverage that is no list of [from_ms, to_ms, live|recovered|absent]: {error}") from error


def leaf_preimages(
    channel: str, epoch_start_s: int, refs: NDArray[np.uint8], counts: "LeafCounts"
) -> NDArray[np.uint8]:
    """(n, 96) u8 leaf preimages; refs (n, 32) must be strictly ascending."""
    n = len(refs)
    leaves = np.zeros(n, LEAF_DTYPE)
    leaves["layout"] = LEAF_LAYOUT
    leaves["index"] = np.arange(n, dtype=np.uint32)
    leaves["epoch_start_s"] = epoch_start_s
    leaves["viewer_ref"] = refs
    for name in LeafCounts.__struct_fields__:
        leaves[name] = getattr(counts, name)
    leaves["epoch_tag"] = np.frombuffer(epoch_tag(channel, epoch_start_s)[:8], np.uint8)
    return leaves.view(np.uint8).reshape(n, LEAF_BYTES)


class LeafCounts(msgspec.Struct, frozen=True):
    """What each leaf counts, as columns of n: weight u64 hundredths; messages, subs, resubs, gifts u32; bits and
    raid viewers u64."""

    weight_centi: NDArray[np.uint64]
    messages: NDArray[np.uint32]
    subs: NDArray[np.uint32]
    resubs: NDArray[np.uint32]
    gifts: NDArray[np.uint32]
    bits: NDArray[np.uint64]
    raid_viewers: NDArray[np.uint64]

    def take(self, rows: NDArray[np.intp]) -> "LeafCounts":
        """The chosen leaves, in that order."""
        return LeafCounts(
            self.weight_centi.take(rows),
            self.messages.take(rows),
            self.subs.take(rows),
            self.resubs.take(rows),
            self.gifts.take(rows),
            self.bits.take(rows),
            self.raid_viewers.take(rows),
        )
