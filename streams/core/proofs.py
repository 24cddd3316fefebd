"""Proof bundles made from a sealed epoch's leaves: presence of a ref, or its absence between two neighbours.

Stands between the read models and whoever asks for a proof. In: a seal's canonical header, its policy, its leaf
preimages. Out: bundles, as objects (`prove`) or at once as their JSON (`prove_json`, the API's hit path). Pure.
"""

from bisect import bisect_left

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Absence, Bundle, Neighbour, Presence, ViewerOpening
from schemas.seal import LEAF_BYTES
from streams.core.merkle import Tree

REF = slice(16, 48)
"""Where a leaf preimage bears its viewer_ref (docs/spec.md, leaf preimage)."""
LOWER_LEVELS = 5
"""Levels of the tree whose steps `prove_json` writes anew each time; the text of those above is kept."""
_REF_OBJECT_BYTES = 73
"""What one 32-byte `bytes` and its place in a list take."""
_STEP_TEXT_BYTES = 67
"""One step of a path as JSON text."""


class ProvableEpoch:
    """The leaves of one sealed epoch with their tree, ready to prove any ref. About 240 bytes a leaf.

    Immutable after it is made, so threads and tasks may share it.
    """

    __slots__ = ("_leaves", "_levels", "_policy", "_refs", "_tail", "_upper", "header", "tree")

    def __init__(self, header: bytes, policy: bytes, preimages: NDArray[np.uint8]) -> None:
        """header: canonical bytes; policy: its canonical JSON; preimages: (n, 96) u8 in index order."""
        self.header = header
        self.tree = Tree.from_preimages(preimages)
        self._policy = msgspec.json.decode(policy)
        # Flat views: a slice is a leaf or a node, without numpy's cost for each row taken.
        self._levels = [(level.reshape(-1).data.cast("B"), len(level)) for level in self.tree._levels[:-1]]
        self._leaves = np.ascontiguousarray(preimages).reshape(-1).data.cast("B")
        # The upper part of a path is the same for 2**LOWER_LEVELS leaves; filled as asked for, the same by any thread.
        self._upper: dict[int, str] = {}
        # Void keeps trailing zero bytes, which numpy's S type would drop.
        refs = np.ascontiguousarray(preimages[:, REF]).view("V32").ravel()
        self._refs: list[bytes] = refs.tolist()
        self._tail = f'"seal":"{header.hex()}","policy":{msgspec.json.encode(self._policy).decode()},"viewer":'

    @property
    def nbytes(self) -> int:
        """What it holds in memory, in bytes, with all that it may come to keep."""
        size = len(self._refs)
        upper_texts = (size >> LOWER_LEVELS) + 1
        upper_bytes = upper_texts * (200 + _STEP_TEXT_BYTES * max(0, len(self._levels) - LOWER_LEVELS))
        return self._leaves.nbytes + size * _REF_OBJECT_BYTES + self.tree.nbytes + upper_bytes + 2 * len(self._tail)

    @property
    def leaves(self) -> memoryview:
        """The public leaf dump: preimages in index order, 96 bytes each."""
        return self._leaves

    def index_of(self, viewer_ref: bytes) -> int | None:
        """The leaf index of a ref, or None."""
        index = bisect_left(self._refs, viewer_ref)
        return index if self._bears(index, viewer_ref) else None

    def ref_at(self, index: int) -> bytes | None:
        """The ref of a leaf by its index (>= 0), or None beyond the last."""
        return self._refs[index] if index < len(self._refs) else None

    def prove(self, viewer_ref: bytes, opening: ViewerOpening | None = None) -> Bundle:
        """Presence where a leaf bears the ref (32 bytes), else absence. opening shows whom the ref names."""
        index = bisect_left(self._refs, viewer_ref)
        if self._bears(index, viewer_ref):
            leaf = self._neighbour(index)
            return Presence(
                v=1,
                leaf=leaf.leaf,
                path=leaf.path,
                seal=self.header.hex(),
                policy=self._policy,
                viewer=opening,
                log=None,
                checkpoint=None,
            )
        return Absence(
            v=1,
            viewer_ref=viewer_ref.hex(),
            left=self._neighbour(index - 1) if index > 0 else None,
            right=self._neighbour(index) if index < len(self._refs) else None,
            seal=self.header.hex(),
            policy=self._policy,
            viewer=opening,
            log=None,
            checkpoint=None,
        )

    def prove_json(self, viewer_ref: bytes, opening: ViewerOpening | None = None) -> bytes:
        """schemas.bundle.encode(prove(…)), the same bytes, written straight from the arrays in a few microseconds."""
        index = bisect_left(self._refs, viewer_ref)
        if self._bears(index, viewer_ref):
            text = f'{{"kind":"presence","v":1,{self._leaf_json(index)},'
        else:
            left = f"{{{self._leaf_json(index - 1)}}}" if index > 0 else "null"
            right = f"{{{self._leaf_json(index)}}}" if index < len(self._refs) else "null"
            text = f'{{"kind":"absence","v":1,"viewer_ref":"{viewer_ref.hex()}","left":{left},"right":{right},'
        viewer = "null" if opening is None else msgspec.json.encode(opening).decode()
        return f'{text}{self._tail}{viewer},"log":null,"checkpoint":null}}'.encode()

    def _bears(self, index: int, viewer_ref: bytes) -> bool:
        return index < len(self._refs) and self._refs[index] == viewer_ref

    def _leaf(self, index: int) -> memoryview:
        return self._leaves[index * LEAF_BYTES : (index + 1) * LEAF_BYTES]

    def _neighbour(self, index: int) -> Neighbour:
        return Neighbour(leaf=self._leaf(index).hex(), path=[step.hex() for step in self.tree.path(index)])

    def _leaf_json(self, index: int) -> str:
        upper = self._upper.get(index >> LOWER_LEVELS)
        if upper is None:
            upper = self._upper[index >> LOWER_LEVELS] = self._steps_json(index >> LOWER_LEVELS, LOWER_LEVELS, None)
        path = f"{self._steps_json(index, 0, LOWER_LEVELS)}{upper}"
        return f'"leaf":"{self._leaf(index).hex()}","path":[{path[:-1]}]'

    def _steps_json(self, index: int, first: int, end: int | None) -> str:
        """The path's steps on levels [first, end) from the node index of level first, each with a comma behind it."""
        steps = []
        for level, size in self._levels[first:end]:
            beside = index ^ 1
            if beside < size:
                steps.append(level[beside * 32 : beside * 32 + 32])
            index >>= 1
        if not steps:
            return ""
        # hex() writes a separator between every 32 bytes; it becomes that of the JSON list.
        return '"' + b"".join(steps).hex(",", 32).replace(",", '","') + '",'
