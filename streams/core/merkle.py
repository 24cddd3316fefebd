"""The evidence tree of one sealed hour: Merkle root, inclusion paths and their check.

Stands after the leaves: in come leaf preimages (96 bytes each, already beginning with the leaf prefix 0x00) in index
order; out go the root that the seal header carries and the paths that proof bundles carry. Pure.

Shape: RFC 6962 section 2.1, as levels: pairs are hashed, an odd last node moves up unchanged (never doubled).
leaf = H(preimage), node = H(0x01 || left || right); H is BLAKE3 for evidence, any other hash for foreign vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.errors import ProofError as ProofError
from streams.core.hashing import DIGEST_BYTES, NODE_PREFIX, HashInputError, hash_rows, tree_levels

LEAF_PREFIX = b"\x00"

Hasher = Callable[[bytes], bytes]


def blake3_hash(data: bytes) -> bytes:
    """BLAKE3-256 of data, the evidence tree's hash."""
    return blake3(data).digest()


EMPTY_ROOT = blake3_hash(b"")
"""Root of an observed hour without participants: the hash of nothing (RFC 6962, MTH of the empty list)."""


def leaf_hash(preimage: bytes, hasher: Hasher = blake3_hash) -> bytes:
    """Hash of a leaf preimage. It must already begin with LEAF_PREFIX, which keeps leaves apart from nodes."""
    if preimage[:1] != LEAF_PREFIX:
        raise HashInputError(f"leaf preimage begins with {preimage[:1].hex() or 'nothing'}; it must begin with 00")
    return hasher(preimage)


def node_hash(left: bytes, right: bytes, hasher: Hasher = blake3_hash) -> bytes:
    """Hash of an inner node: H(0x01 || left || right)."""
    return hasher(NODE_PREFIX + left + right)


class Tree:
    """All levels of one evidence tree, kept as arrays, so that a path is a few slices.

    Memory: about 64 bytes a leaf and at most 1 KiB a level (`nbytes`).
    """

    __slots__ = ("_levels",)

    def __init__(self, leaf_hashes: NDArray[np.uint8]) -> None:
        """leaf_hashes: (n, 32) uint8 in index order; n may be 0; kept, not copied. Raises HashInputError."""
        self._levels = tree_levels(leaf_hashes)

    @classmethod
    def from_preimages(cls, rows: NDArray[np.uint8]) -> Tree:
        """rows: (n, 96) uint8 leaf preimages in index order (any row length of 1 and more is taken)."""
        return cls(_leaf_hashes(rows))

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0])

    @property
    def root(self) -> bytes:
        """32 bytes; EMPTY_ROOT for no leaves."""
        top: bytes = self._levels[-1].tobytes()
        return top if self.size else EMPTY_ROOT

    @property
    def nbytes(self) -> int:
        """Bytes held by the levels, padding included."""
        owners = [level.base if isinstance(level.base, np.ndarray) else level for level in self._levels[1:]]
        return self._levels[0].nbytes + sum({id(owner): owner.nbytes for owner in owners}.values())

    def leaf(self, index: int) -> bytes:
        """Hash of the leaf at index. Raises ProofError outside 0..size-1."""
        _check_index(index, self.size)
        found: bytes = self._levels[0][index].tobytes()
        return found

    def path(self, index: int) -> list[bytes]:
        """Sibling hashes from the leaf upward (RFC 6962 PATH). Raises ProofError outside 0..size-1."""
        _check_index(index, self.size)
        siblings = []
        for level in self._levels[:-1]:
            # The unpaired last node of an odd level moves up and has no sibling there.
            if index ^ 1 < len(level):
                siblings.append(level[index ^ 1].tobytes())
            index >>= 1
        return siblings


def merkle_root(preimages: NDArray[np.uint8]) -> bytes:
    """Root over leaf preimages (n, 96) in index order; the levels are let go."""
    return Tree.from_preimages(preimages).root


def path_length(index: int, size: int) -> int:
    """Exact number of siblings in the path of leaf index in a tree of size leaves. Raises ProofError as `path`."""
    _check_index(index, size)
    length = 0
    while size > 1:
        length += index ^ 1 < size
        index, size = index >> 1, (size + 1) >> 1
    return length


def root_from_path(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], hasher: Hasher = blake3_hash
) -> bytes:
    """The root that a path leads to (RFC 6962 section 2.1.1; RFC 9162 section 2.1.3.2).

    leaf_hash: 32 bytes. path: siblings of 32 bytes each, from the leaf upward. Nothing is proved until the result is
    compared with a known root: see `verify_inclusion`. Raises ProofError on an index outside the tree, a path that is
    too short or too long, or a hash of another length.
    """
    wanted = path_length(index, size)
    if len(path) != wanted:
        raise ProofError(f"path has {len(path)} hashes; leaf {index} of {size} takes exactly {wanted}")
    for position, value in enumerate([leaf_hash, *path]):
        if len(value) != DIGEST_BYTES:
            name = f"path[{position - 1}]" if position else "leaf hash"
            raise ProofError(f"{name} has {len(value)} bytes; a hash has {DIGEST_BYTES}")
    node, siblings = leaf_hash, iter(path)
    while size > 1:
        if index & 1:
            node = node_hash(next(siblings), node, hasher)
        elif index + 1 < size:
            node = node_hash(node, next(siblings), hasher)
        index, size = index >> 1, (size + 1) >> 1
    return node


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, path: Sequence[bytes], root: bytes, hasher: Hasher = blake3_hash
) -> None:
    """Returns if leaf index of the tree (size, root) is leaf_hash; raises ProofError if that is not proved."""
    found = root_from_path(leaf_hash, index, size, path, hasher)
    if found != root:
        raise ProofError(f"path of leaf {index} of {size} leads to root {found.hex()}, not to {root.hex()}")


def _leaf_hashes(preimages: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if preimages.ndim != 2 or preimages.shape[1] == 0:
        raise HashInputError(f"leaf preimages have shape {preimages.shape}; give (n, 96)")
    if preimages[:, 0].any():
        index = int(np.flatnonzero(preimages[:, 0])[0])
        raise HashInputError(f"leaf preimage {index} begins with {int(preimages[index, 0]):02x}; it must begin with 00")
    return hash_rows(preimages)


def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size:
        raise ProofError(f"leaf index {index} is outside a tree of {size} leaves; give an index from 0 to below size")
