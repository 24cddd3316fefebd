"""The fast extra of `hashing`: calls of the SIMD functions on numpy arrays.

In: C-contiguous uint8 rows. Out: digests, one row each. The functions take whole groups of 8 or 16 rows and may read
up to 63 bytes behind the last one, so the rows that do not fill a group, or stand last, go through a padded copy.
ctypes releases the interpreter's lock during a call; the functions keep no state and may run in many threads.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from streams.core import blake3_ir, folding_ir, interning_ir, native_code
from streams.core.native_code import InstructionSet, NativeCode, NativeCodeUnavailable

FUNCTIONS = ("blake3_rows", "blake3_nodes", "blake3_viewers", *interning_ir.FUNCTIONS, *folding_ir.FUNCTIONS)
"""All that one compilation makes; `kernels` calls its own."""

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_int64


class Lanes:
    """The three functions on this processor's vectors."""

    max_viewer_bytes = 30
    """Longest identity that `hash_viewers` takes: 34 bytes go before it in a block of 64."""
    min_rows = 8
    """Below so many rows the loop is faster than a padded group."""

    def __init__(self, code: NativeCode, lanes: int) -> None:
        self.code, self.lanes = code, lanes
        p, n = _POINTER, _COUNT
        self._rows = ctypes.CFUNCTYPE(None, p, n, n, n, p, p, n, ctypes.c_int32, p)(code.addresses["blake3_rows"])
        self._nodes = ctypes.CFUNCTYPE(None, p, n, p)(code.addresses["blake3_nodes"])
        self._viewers = ctypes.CFUNCTYPE(None, p, p, n, p, p, p, p)(code.addresses["blake3_viewers"])
        self._iv = np.array(blake3_ir.IV, "<u4")
        # Row b lets b bytes of a block through.
        self._tail_masks = np.where(np.arange(64) < np.arange(65)[:, None], 255, 0).astype(np.uint8)
        self._iv_at, self._tail_masks_at = _at(self._iv), _at(self._tail_masks)

    def hash_rows(self, rows: NDArray[np.uint8], keys: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """BLAKE3 of (n, 0..1024) rows; keyed mode with keys (32,) or (n, 32)."""
        n, length = rows.shape
        out = self._room(n)
        out_at = _at(out)
        blocks = max(1, -(-length // 64))
        tail_bytes = length - 64 * (blocks - 1)
        mask_at = self._tail_masks_at + 64 * tail_bytes
        mode = 0 if keys is None else blake3_ir.KEYED_HASH
        keys_at = self._iv_at if keys is None else _at(keys)
        key_stride = 32 if keys is not None and keys.ndim == 2 else 0
        # Rows whose last block, read as 64 bytes, still ends inside the array.
        safe_rows = (n * length + tail_bytes - 64) // length if length else 0
        direct = max(0, min(n, safe_rows) // self.lanes)
        if direct:
            self._rows(_at(rows), direct, length, blocks, mask_at, keys_at, key_stride, mode, out_at)
        done = direct * self.lanes
        if done < n:
            groups = -(-(n - done) // self.lanes)
            padded = np.zeros(groups * self.lanes * length + 64, np.uint8)
            padded[: (n - done) * length] = rows[done:].reshape(-1)
            if keys is not None and key_stride:
                padded_keys = np.zeros((groups * self.lanes, 32), np.uint8)
                padded_keys[: n - done] = keys[done:]
                keys_at = _at(padded_keys)
            self._rows(_at(padded), groups, length, blocks, mask_at, keys_at, key_stride, mode, out_at + 32 * done)
        return out[:n]

    def hash_nodes(self, pairs: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """BLAKE3 of 0x01 || row for rows of 64 bytes."""
        out = self._room(len(pairs))
        self._nodes_into(_at(out), pairs)
        return out[: len(pairs)]

    def tree_levels(self, leaf_hashes: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
        """Levels of the RFC 6962 tree, leaf hashes first, those above in one array: few calls for a small tree."""
        sizes = [len(leaf_hashes)]
        while sizes[-1] > 1:
            sizes.append((sizes[-1] + 1) // 2)
        # A level's place is whole groups of pairs, so that the next call reads and writes only inside the array.
        group = 2 * self.lanes
        starts = [0]
        for size in sizes[1:]:
            starts.append(starts[-1] + -(-size // group) * group)
        above = np.empty((starts[-1], 32), np.uint8)
        above_at = _at(above)
        levels = [leaf_hashes]
        for level in range(1, len(sizes)):
            below, start, pairs = levels[-1], starts[level - 1], sizes[level - 1] // 2
            if level == 1:
                self._nodes_into(above_at, below[: 2 * pairs].reshape(pairs, 64))
            else:
                self._nodes(above_at + 32 * starts[level - 2], -(-pairs // self.lanes), above_at + 32 * start)
            if len(below) & 1:
                above[start + pairs] = below[-1]
            levels.append(above[start : start + sizes[level]])
        return levels

    def _nodes_into(self, out_at: int, pairs: NDArray[np.uint8]) -> None:
        """`out_at` has room for whole groups."""
        direct, left_over = divmod(len(pairs), self.lanes)
        if direct:
            self._nodes(_at(pairs), direct, out_at)
        if left_over:
            padded = np.zeros((self.lanes, 64), np.uint8)
            padded[:left_over] = pairs[direct * self.lanes :]
            self._nodes(_at(padded), 1, out_at + 32 * direct * self.lanes)

    def hash_viewers(
        self, identities: Sequence[bytes], pepper: bytes, epoch_tag: bytes
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """(viewer_refs, epoch_keys) of identities of at most `max_viewer_bytes` each."""
        # Zero-filled rows of 32 bytes; lengths stand beside them, so an identity may end in zero bytes.
        rows = np.array(identities, "S32").view(np.uint8).reshape(len(identities), 32)
        lengths = np.fromiter(map(len, identities), np.uint32, len(identities))
        return self.hash_viewer_rows(rows, lengths, pepper, epoch_tag)

    def hash_viewer_rows(
        self, rows: NDArray[np.uint8], lengths: NDArray[np.uint32], pepper: bytes, epoch_tag: bytes
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """As `hash_viewers`, of identities as rows (n, 32), zero-filled, and their lengths (n,)."""
        n = len(rows)
        groups = -(-n // self.lanes)
        room = groups * self.lanes
        texts, text_bytes = np.zeros((room, 32), np.uint8), np.zeros(room, np.uint32)
        texts[:n], text_bytes[:n] = rows, lengths
        keys, refs = self._room(n), self._room(n)
        pepper_row, tag_row = np.frombuffer(pepper, np.uint8), np.frombuffer(epoch_tag, np.uint8)
        self._viewers(_at(texts), _at(text_bytes), groups, _at(pepper_row), _at(tag_row), _at(keys), _at(refs))
        return refs[:n], keys[:n]

    def _room(self, n: int) -> NDArray[np.uint8]:
        return np.empty((-(-n // self.lanes) * self.lanes, 32), np.uint8)


def load_lanes(cache_dir: Path | None, target: InstructionSet | None = None) -> Lanes:
    """The lanes of this processor (or of a lesser set that it has), checked against the blake3 package on a few rows.

    Raises NativeCodeUnavailable, or another TwzrdError of the compilation, if there are none.
    """
    target = target or native_code.instruction_set()
    text = blake3_ir.module_text(target.lanes) + interning_ir.TEXT + folding_ir.TEXT
    code = native_code.obtain(text, FUNCTIONS, target, cache_dir)
    lanes = Lanes(code, target.lanes)
    if not _agrees(lanes):
        raise NativeCodeUnavailable("the compiled lanes do not agree with the blake3 package; the loop is used")
    return lanes


def _agrees(lanes: Lanes) -> bool:
    """Each function against the blake3 package: a direct group, a padded one, two blocks, both modes."""
    rows = np.arange(19 * 96, dtype=np.uint32).astype(np.uint8).reshape(19, 96)
    texts = [row.tobytes() for row in rows]
    key, tag = texts[0][:32], texts[1][:16]
    epoch_keys = [blake3(tag, key=blake3(text[:11], key=key).digest()).digest() for text in texts]
    refs = [blake3(b"\2\1" + k + text[:11]).digest() for k, text in zip(epoch_keys, texts, strict=True)]
    found_refs, found_keys = lanes.hash_viewers([text[:11] for text in texts], key, tag)
    pairs = [(lanes.hash_rows(rows), [blake3(text).digest() for text in texts])]
    pairs += [(lanes.hash_rows(rows, rows[0, :32]), [blake3(text, key=key).digest() for text in texts])]
    pairs += [(lanes.hash_nodes(rows[:, :64].copy()), [blake3(b"\1" + text[:64]).digest() for text in texts])]
    pairs += [(found_refs, refs), (found_keys, epoch_keys)]
    return all(found.tobytes() == b"".join(wanted) for found, wanted in pairs)


def _at(array: NDArray[Any]) -> int:
    return array.ctypes.data
