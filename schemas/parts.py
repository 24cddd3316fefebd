"""Puts the parts of seals together, whoever wrote them and in whatever order two writers' parts lie.

In: parts and headers of one partition of `epoch.sealed`, in order. Out: the pieces of a whole seal. Two workers may say
one seal at a time (one was stopped past its session and goes on, another took its partition): equal parts are kept
once, different ones side by side, and the header's hash tells which of them are its own. A header that comes again
after its parts were used up is known for what it is.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final, NamedTuple

from blake3 import blake3

from schemas.sealed import Closed, Known, Late, Part, Record, Seal, SealedEpoch, join_seal

MAX_OPEN_SEALS: Final = 64
"""Seals of one partition whose parts wait for their header; beyond it the oldest is given up (its writer died)."""
MAX_WAIT_OFFSETS: Final = 100_000
"""A header that is not there so many records after its first part will not come, or its parts with it again."""
MAX_VARIANTS: Final = 3
"""Different parts of one place of one seal; more are dropped."""
MAX_TRIED: Final = 64
"""Ways to choose among them that are tried for one header."""
SealKey = tuple[str, int, int]
"""channel, epoch_start_s, revision."""


class Piece(NamedTuple):
    """A part's blob and the record value that it came in."""

    blob: bytes
    value: bytes


@dataclass(slots=True)
class _OpenSeal:
    first_offset: int
    places: list[list[Piece]] = field(default_factory=list)


class OpenSeals:
    """The parts of one partition's unfinished seals."""

    def __init__(self) -> None:
        self._open: dict[SealKey, _OpenSeal] = {}
        self._joined: OrderedDict[SealKey, tuple[bytes, bytes]] = OrderedDict()
        self.given_up_total = 0
        """Unfinished seals dropped at a bound."""

    def resume_offset(self, next_offset: int) -> int:
        """Where reading must start again to see every part that waits; next_offset where none does."""
        for key in [key for key, seal in self._open.items() if next_offset - seal.first_offset > MAX_WAIT_OFFSETS]:
            del self._open[key]
            self.given_up_total += 1
        return min((seal.first_offset for seal in self._open.values()), default=next_offset)

    def take(self, offset: int, part: Part, value: bytes) -> None:
        """A part."""
        key = (part.channel, part.epoch_start_s, part.revision)
        seal = self._open.get(key)
        if seal is None:
            if part.index:
                return  # its beginning is not there, so it can come to nothing
            if len(self._open) >= MAX_OPEN_SEALS:
                del self._open[next(iter(self._open))]
                self.given_up_total += 1
            seal = self._open[key] = _OpenSeal(offset)
        if part.index == len(seal.places):
            seal.places.append([Piece(part.blob, value)])
        elif 0 <= part.index < len(seal.places):
            variants = seal.places[part.index]
            if len(variants) < MAX_VARIANTS and all(one.blob != part.blob for one in variants):
                variants.append(Piece(part.blob, value))

    def join(self, seal: Seal) -> Sequence[Piece] | None:
        """The header's pieces in order of index, as far as there are any; None where this very seal was put together
        before (another writer said it, too)."""
        key = (seal.channel, seal.epoch_start_s, seal.revision)
        found = self._open.get(key)
        known = (seal.header, seal.body_hash)
        chosen = _chosen(found.places, seal) if found is not None and len(found.places) >= seal.parts else None
        if chosen is None:
            if self._joined.get(key) == known:
                return None
            return [] if found is None else [variants[0] for variants in found.places[: seal.parts]]
        assert found is not None
        if all(len(variants) == 1 for variants in found.places) or key in self._joined:
            del self._open[key]
        # Else another writer's header may still come for what is left.
        self._joined[key] = known
        self._joined.move_to_end(key)
        if len(self._joined) > MAX_OPEN_SEALS:
            self._joined.popitem(last=False)
        return chosen


def _chosen(places: Sequence[list[Piece]], seal: Seal) -> Sequence[Piece] | None:
    """Those that hash to what the header names. A single way is not looked at here: join_seal does."""
    ways: Iterator[tuple[Piece, ...]] = islice(product(*places[: seal.parts]), MAX_TRIED)
    if all(len(variants) == 1 for variants in places[: seal.parts]):
        return next(ways)
    for way in ways:
        if blake3(b"".join(piece.blob for piece in way)).digest() == seal.body_hash:
            return way
    return None


class SealAssembler:
    """Records of one partition in order; seals come out whole, each once."""

    def __init__(self) -> None:
        self._open = OpenSeals()
        self._next = 0

    def feed(self, record: Record) -> SealedEpoch | Late | Closed | None:
        """What the record completes, if anything. Raises SchemaError for a header whose parts were not met."""
        self._next += 1
        if isinstance(record, Part):
            self._open.take(self._next, record, b"")
            return None
        if isinstance(record, Seal):
            pieces = self._open.join(record) if record.parts else ()
            return None if pieces is None else join_seal(record, [piece.blob for piece in pieces])
        return None if isinstance(record, Known) else record
