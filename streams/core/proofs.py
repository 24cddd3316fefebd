"""Proof bundles made from a sealed epoch's leaves: presence of a ref, or its absence between two neighbours."""

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.bundle import Absence, Bundle, Neighbour, Presence, ViewerOpening
from schemas.seal import LEAF_DTYPE
from streams.core.merkle import Tree


class ProvableEpoch:
    """The leaves of one sealed epoch with their tree, ready to prove any ref. About 160 bytes a leaf."""

    def __init__(self, header: bytes, policy: bytes, preimages: NDArray[np.uint8]) -> None:
        """header: canonical bytes; policy: its canonical JSON; preimages: (n, 96) u8 in index order."""
        self.header = header
        self.tree = Tree.from_preimages(preimages)
        self._policy = msgspec.json.decode(policy)
        self._preimages = preimages
        leaves = np.ascontiguousarray(preimages).view(LEAF_DTYPE).reshape(-1)
        self._refs = np.ascontiguousarray(leaves["viewer_ref"]).view("S32").reshape(-1)

    @property
    def nbytes(self) -> int:
        """What it holds in memory, in bytes."""
        return self._preimages.nbytes + self._refs.nbytes + self.tree.nbytes + len(self.header)

    def index_of(self, viewer_ref: bytes) -> int | None:
        """The leaf index of a ref, or None."""
        index = self._insertion(viewer_ref)
        return index if index < len(self._refs) and self._preimages[index, 16:48].tobytes() == viewer_ref else None

    def _insertion(self, viewer_ref: bytes) -> int:
        # numpy's S type drops trailing zero bytes on both sides alike, so order and equality still hold for 32 bytes
        return int(np.searchsorted(self._refs, np.array([viewer_ref], "S32"))[0])

    def _neighbour(self, index: int) -> Neighbour:
        path = [step.hex() for step in self.tree.path(index)]
        return Neighbour(leaf=self._preimages[index].tobytes().hex(), path=path)

    def prove(self, viewer_ref: bytes, opening: ViewerOpening | None = None) -> Bundle:
        """Presence where a leaf bears the ref, else absence. opening shows whom the ref names."""
        index = self._insertion(viewer_ref)
        if index < len(self._refs) and self._preimages[index, 16:48].tobytes() == viewer_ref:
            leaf = self._neighbour(index)
            return Presence(
                leaf=leaf.leaf,
                path=leaf.path,
                seal=self.header.hex(),
                policy=self._policy,
                viewer=opening,
                log=None,
                checkpoint=None,
            )
        return Absence(
            viewer_ref=viewer_ref.hex(),
            left=self._neighbour(index - 1) if index > 0 else None,
            right=self._neighbour(index) if index < len(self._refs) else None,
            seal=self.header.hex(),
            policy=self._policy,
            viewer=opening,
            log=None,
            checkpoint=None,
        )
