"""The parts of seals as they lie on `epoch.sealed`, where several writers' attempts may stand between one another.

Comes in: parts and header records in the log's order. Goes out: each seal's body, whole. A worker that was stopped and
goes on while another has taken its partition over writes the same seal a second time, and the broker takes the batches
of both in any order: A0 A1 | B0 | A2 header | B1 B2 header. Each writer's own parts come in order of index.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from blake3 import blake3

from schemas.errors import SchemaError
from schemas.sealed import Closed, Known, Late, Part, Record, Seal, SealedEpoch, join_seal

MAX_OPEN_SEALS: Final = 64
"""Seals whose parts wait for their header; beyond it the oldest is given up (its writer died)."""
MAX_RUNS: Final = 8
"""Different beginnings of one seal that are followed. Attempts with the same bytes, which is the rule, are one."""
MAX_DONE: Final = 1024
"""Seals in parts whose headers are remembered, so that a second attempt whose parts went with the first is known."""

Key = tuple[str, int, int]
Piece = TypeVar("Piece")


class SealParts(Generic[Piece]):
    """One partition's parts that wait for their header. piece: what a reader keeps of a part; equal parts must give
    equal pieces. blob_of: a piece's share of the body."""

    def __init__(self, blob_of: Callable[[Piece], bytes], max_open: int = MAX_OPEN_SEALS) -> None:
        self._blob_of = blob_of
        self._max_open = max_open
        self._open: dict[Key, tuple[int, list[tuple[Piece, ...]]]] = {}
        """Per seal the offset of its first part, and the runs of parts 0, 1, … met so far; none begins another."""
        self._done: OrderedDict[Key, bytes] = OrderedDict()
        self.given_up_total = 0
        """Seals whose parts were given up on because newer ones needed the room."""

    def first_offset(self) -> int | None:
        """Where reading must start again to meet every part that waits; None where none does."""
        return min((offset for offset, _ in self._open.values()), default=None)

    def take(self, part: Part, piece: Piece, offset: int = 0) -> None:
        """Take in a part. One that follows no run (its earlier ones were not met) is left out."""
        key = (part.channel, part.epoch_start_s, part.revision)
        if key not in self._open:
            if part.index != 0:
                return
            if len(self._open) >= self._max_open:
                del self._open[next(iter(self._open))]
                self.given_up_total += 1
            self._open[key] = (offset, [])
        runs = self._open[key][1]
        stems = [()] if part.index == 0 else [run[: part.index] for run in runs if len(run) >= part.index > 0]
        for stem in stems:
            longer = (*stem, piece)
            if not any(run[: len(longer)] == longer for run in runs):
                runs[:] = [*[run for run in runs if run != stem][1 - MAX_RUNS :], longer]

    def complete(self, seal: Seal) -> tuple[Piece, ...] | None:
        """The parts of a header that has some, and they wait no more. None: the header of another attempt at a seal
        that was complete before. Raises SchemaError where the parts met do not add up to the body it names."""
        key = (seal.channel, seal.epoch_start_s, seal.revision)
        most = 0
        for run in self._open[key][1] if key in self._open else []:
            found = run[: seal.parts]
            most = max(most, len(found))
            if len(found) == seal.parts and self._hash(found) == seal.body_hash:
                del self._open[key]
                self._done[key] = seal.header
                if len(self._done) > MAX_DONE:
                    self._done.popitem(last=False)
                return found
        if self._done.get(key) == seal.header:
            return None
        raise SchemaError(
            f"seal of {seal.channel} at {seal.epoch_start_s} revision {seal.revision}: {most} of {seal.parts} parts "
            "do not add up to the body it names; read epoch.sealed again"
        )

    def _hash(self, pieces: tuple[Piece, ...]) -> bytes:
        hasher = blake3()
        for piece in pieces:
            hasher.update(self._blob_of(piece))
        return hasher.digest()


class SealAssembler:
    """Records of one partition in order; seals come out whole. Bounded as SealParts is."""

    def __init__(self, max_open: int = MAX_OPEN_SEALS) -> None:
        self._parts: SealParts[bytes] = SealParts(lambda blob: blob, max_open)

    def feed(self, record: Record) -> SealedEpoch | Late | Closed | None:
        """What the record completes, if anything. Raises SchemaError for a header whose parts were not met."""
        if isinstance(record, Part):
            self._parts.take(record, record.blob)
            return None
        if isinstance(record, Seal):
            blobs = self._parts.complete(record) if record.parts else ()
            return None if blobs is None else join_seal(record, blobs)
        return None if isinstance(record, Known) else record
