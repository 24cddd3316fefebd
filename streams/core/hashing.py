"""BLAKE3 over many short rows at once: viewer refs, leaves and tree nodes of a seal.

Stands below the evidence tree: `merkle` and the seal hash whole columns through it. In: uint8 arrays, one input a row,
or lists of byte strings. Out: uint8 arrays of one 32-byte digest a row, in the same order.

Two ways give the same bytes. The loop over the blake3 package always works and is the oracle. The fast extra
(`blake3_lanes`) hashes 8 or 16 rows at a time in SIMD lanes; a process's composition turns it on with `enable_fast`.
Importing this module compiles and reads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.columns import distinct
from schemas.errors import TwzrdError

if TYPE_CHECKING:
    from streams.core.blake3_lanes import Lanes

DIGEST_BYTES = 32
CHUNK_BYTES = 1024
"""BLAKE3's chunk: up to here one input is one chain of blocks, which is all that the lanes do."""

LOOP_BATCH_ROWS = 1024

VIEWER_REF_PREFIX = b"\x02\x01"
NODE_PREFIX = b"\x01"

_FIRST_BYTES = np.where(np.arange(DIGEST_BYTES) < np.arange(DIGEST_BYTES + 1)[:, None], 255, 0).astype(np.uint8)
"""Row b lets the first b bytes of 32 through."""

FAST = False
"""Whether the SIMD extra is active in this process. Read it as `hashing.FAST`: `enable_fast` rebinds it."""

_lanes: Lanes | None = None


@dataclass
class FastStatus:
    """What `enable_fast` found, for logs and metrics."""

    origin: str = "off"
    """off | kept (code file of an earlier start) | compiled."""
    lanes: int = 0
    reason: str | None = None
    """Why the loop is used, or why the kept file was not."""
    unavailable: int = 0
    refused_files: int = 0
    unkept_files: int = 0


fast_status = FastStatus()


class HashInputError(TwzrdError):
    """An array handed to this module has the wrong shape, type or length."""


def enable_fast(cache_dir: Path | None) -> bool:
    """Turns the SIMD extra on for this process, if this machine has it; True if it is active now.

    cache_dir: a private directory (made with mode 0700) for the compiled code, so that later starts need neither
    llvmlite nor half a second of compilation; None compiles every time. Never raises for want of the extra: the loop
    gives the same bytes, `fast_status` says why and counts. Called once by a process's composition.
    """
    global FAST, _lanes
    from streams.core import kernels
    from streams.core.blake3_lanes import load_lanes

    try:
        _lanes = load_lanes(cache_dir)
    except TwzrdError as error:
        fast_status.unavailable += 1
        fast_status.reason = str(error)
    else:
        code = _lanes.code
        fast_status.origin, fast_status.lanes = code.origin, _lanes.lanes
        fast_status.refused_files += code.refused is not None
        fast_status.unkept_files += code.unkept is not None
        fast_status.reason = code.refused or code.unkept
        kernels.use(code)
    FAST = _lanes is not None
    return FAST


def disable_fast() -> None:
    """Back to the loop: for the oracle's side of tests and benchmarks."""
    global FAST, _lanes
    from streams.core import kernels

    kernels.use(None)
    FAST, _lanes = False, None
    fast_status.origin, fast_status.lanes = "off", 0


def hash_rows(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BLAKE3 of each row.

    rows: (n, length) uint8, any n and length. Returns (n, 32) uint8. Raises HashInputError on another shape or type.
    """
    _check_rows(rows, "rows")
    if _lanes is not None and len(rows) >= _lanes.min_rows and rows.shape[1] <= CHUNK_BYTES:
        return _lanes.hash_rows(np.ascontiguousarray(rows))
    return _loop(rows)


def hash_nodes(pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Merkle parents: BLAKE3 of 0x01 || row, for rows that are a left and a right child.

    pairs: (n, 64) uint8. Returns (n, 32). Raises HashInputError on another shape or type.
    """
    _check_rows(pairs, "pairs")
    if pairs.shape[1] != 2 * DIGEST_BYTES:
        raise HashInputError(f"pairs have {pairs.shape[1]} bytes a row; give left and right child, 64 bytes")
    if _lanes is not None and len(pairs) >= _lanes.min_rows:
        return _lanes.hash_nodes(np.ascontiguousarray(pairs))
    preimages = np.empty((len(pairs), 1 + 2 * DIGEST_BYTES), np.uint8)
    preimages[:, 0] = NODE_PREFIX[0]
    preimages[:, 1:] = pairs
    return _loop(preimages)


def tree_levels(leaf_hashes: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """All levels of the tree over leaf hashes, from the leaves up to the root (RFC 6962 shape: see `merkle`).

    leaf_hashes: (n, 32) uint8; it is the first level itself. Each next level holds the parents of pairs; an odd last
    node moves up unchanged. Raises HashInputError on another shape or type.
    """
    _check_rows(leaf_hashes, "leaf hashes")
    if leaf_hashes.shape[1] != DIGEST_BYTES:
        raise HashInputError(f"leaf hashes have {leaf_hashes.shape[1]} bytes a row; a digest has {DIGEST_BYTES}")
    if _lanes is not None and len(leaf_hashes) >= _lanes.min_rows:
        return _lanes.tree_levels(np.ascontiguousarray(leaf_hashes))
    levels = [leaf_hashes]
    while len(levels[-1]) > 1:
        below = levels[-1]
        pairs = len(below) // 2
        parents = hash_nodes(below[: 2 * pairs].reshape(pairs, 2 * DIGEST_BYTES))
        levels.append(np.concatenate([parents, below[-1:]]) if len(below) & 1 else parents)
    return levels


def keyed_hash_rows(rows: NDArray[np.uint8], keys: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """BLAKE3 in keyed mode of each row.

    rows: (n, length) uint8. keys: (32,) for one key, or (n, 32) for a key a row. Returns (n, 32).
    Raises HashInputError on another shape or type.
    """
    _check_rows(rows, "rows")
    n, length = rows.shape
    if keys.dtype != np.uint8 or keys.shape not in ((DIGEST_BYTES,), (n, DIGEST_BYTES)):
        raise HashInputError(f"keys are {keys.dtype}{keys.shape}; give uint8 (32,) or ({n}, 32)")
    if _lanes is not None and n >= _lanes.min_rows and length <= CHUNK_BYTES:
        return _lanes.hash_rows(np.ascontiguousarray(rows), np.ascontiguousarray(keys))
    if keys.ndim == 1:
        key = keys.tobytes()
        return _stack([blake3(text, key=key).digest() for text in _texts(rows)])
    return _stack([blake3(text, key=key).digest() for text, key in zip(_texts(rows), _texts(keys), strict=True)])


def hash_strings(values: Sequence[bytes], key: bytes) -> NDArray[np.uint8]:
    """Keyed BLAKE3 of byte strings of any lengths, in their order: (n, 32). key: 32 bytes, else HashInputError."""
    _check_key(key)
    if _lanes is None or len(values) < _lanes.min_rows:
        return _stack([blake3(value, key=key).digest() for value in values])
    key_row = np.frombuffer(key, np.uint8)
    out = np.empty((len(values), DIGEST_BYTES), np.uint8)
    for at, rows in _by_length(values):
        out[at] = keyed_hash_rows(rows, key_row)
    return out


def viewer_refs(
    identities: Sequence[bytes], pepper: bytes, epoch_tag: bytes
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The refs and epoch keys of one epoch's viewers (docs/spec.md, evidence tree).

    viewer_key = blake3(identity, key=pepper); epoch_key = blake3(epoch_tag, key=viewer_key);
    viewer_ref = blake3(0x02 || 0x01 || epoch_key || identity).
    identities: utf8 bytes. pepper: 32 secret bytes. epoch_tag: 16 bytes. Returns (refs, epoch_keys), each (n, 32), in
    the order given (leaves are sorted by ref later). Raises HashInputError on a pepper or tag of another length.
    """
    _check_key(pepper)
    if len(epoch_tag) != 16:
        raise HashInputError(f"epoch_tag has {len(epoch_tag)} bytes; it is the first 16 of a blake3 digest")
    n = len(identities)
    if _lanes is None or n < _lanes.min_rows:
        keys = [blake3(epoch_tag, key=blake3(who, key=pepper).digest()).digest() for who in identities]
        refs = [blake3(VIEWER_REF_PREFIX + k + who).digest() for k, who in zip(keys, identities, strict=True)]
        return _stack(refs), _stack(keys)
    if n and max(map(len, identities)) <= _lanes.max_viewer_bytes:
        return _lanes.hash_viewers(identities, pepper, epoch_tag)
    pepper_row, tag_row = np.frombuffer(pepper, np.uint8), np.frombuffer(epoch_tag, np.uint8)
    all_refs, all_keys = np.empty((n, DIGEST_BYTES), np.uint8), np.empty((n, DIGEST_BYTES), np.uint8)
    for at, rows in _by_length(identities):
        viewer_keys = keyed_hash_rows(rows, pepper_row)
        epoch_keys = keyed_hash_rows(np.broadcast_to(tag_row, (len(rows), 16)), viewer_keys)
        preimages = np.empty((len(rows), 34 + rows.shape[1]), np.uint8)
        preimages[:, :2] = np.frombuffer(VIEWER_REF_PREFIX, np.uint8)
        preimages[:, 2:34] = epoch_keys
        preimages[:, 34:] = rows
        all_keys[at] = epoch_keys
        all_refs[at] = hash_rows(preimages)
    return all_refs, all_keys


def viewer_refs_of(
    text: NDArray[np.uint8], begin: NDArray[np.int64], size: NDArray[np.int64], pepper: bytes, epoch_tag: bytes
) -> NDArray[np.uint8]:
    """As `viewer_refs`, refs alone, of identities that lie in `text` at `begin`, `size` bytes each; (n,)
    both. text: uint8, with 32 bytes or more behind the last identity's beginning."""
    if _lanes is not None and len(size) >= _lanes.min_rows and int(size.max()) <= _lanes.max_viewer_bytes:
        _check_key(pepper)
        rows = np.ndarray((len(text) - DIGEST_BYTES + 1, DIGEST_BYTES), np.uint8, text, strides=(1, 1))[begin]
        rows &= _FIRST_BYTES[size]
        return _lanes.hash_viewer_rows(rows, size.astype(np.uint32), pepper, epoch_tag)[0]
    given = text.tobytes()
    spans = zip(begin.tolist(), size.tolist(), strict=True)
    return viewer_refs([given[at : at + length] for at, length in spans], pepper, epoch_tag)[0]


def _by_length(values: Sequence[bytes]) -> list[tuple[NDArray[np.intp] | slice, NDArray[np.uint8]]]:
    """Groups byte strings of one length into rows: [(their places in `values`, (m, length) uint8)]."""
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    groups: list[tuple[NDArray[np.intp] | slice, NDArray[np.uint8]]] = []
    for length in distinct(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        if len(places) == len(values):
            joined = b"".join(values)
            return [(slice(None), np.frombuffer(joined, np.uint8).reshape(len(values), length))]
        joined = b"".join([values[place] for place in places.tolist()])
        groups.append((places, np.frombuffer(joined, np.uint8).reshape(len(places), length)))
    return groups


def _loop(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # In batches, so that the short-lived byte strings stay in the processor's cache (0.7M to 0.95M leaves/s).
    out = bytearray()
    for start in range(0, len(rows), LOOP_BATCH_ROWS):
        out += b"".join([state.digest() for state in map(blake3, _texts(rows[start : start + LOOP_BATCH_ROWS]))])
    return np.frombuffer(out, np.uint8).reshape(len(rows), DIGEST_BYTES)


def _texts(rows: NDArray[np.uint8]) -> list[bytes]:
    """Each row as bytes. Unstructured void is numpy's fastest way there that keeps trailing zeros."""
    n, length = rows.shape
    if length == 0:
        return [b""] * n
    texts: list[bytes] = np.ascontiguousarray(rows).view(f"V{length}").ravel().tolist()
    return texts


def _stack(digests: list[bytes]) -> NDArray[np.uint8]:
    # A copy through bytearray keeps the result writable, as the lanes' result is.
    return np.frombuffer(bytearray(b"".join(digests)), np.uint8).reshape(len(digests), DIGEST_BYTES)


def _check_rows(rows: NDArray[np.uint8], name: str) -> None:
    if rows.ndim != 2 or rows.dtype != np.uint8:
        raise HashInputError(f"{name} are {rows.dtype}{rows.shape}; give a uint8 array of (n, length)")


def _check_key(key: bytes) -> None:
    if len(key) != DIGEST_BYTES:
        raise HashInputError(f"the key has {len(key)} bytes; BLAKE3's keyed mode and the pepper take 32")
