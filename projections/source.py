"""From log records to what projections take: decodes, joins the parts of seals, and keeps count of offsets.

In: records of one partition, in order. Out: entries, and two offsets: `next_offset` (everything below is out) and
`resume_offset` (where reading must start again to see an unfinished seal from its first part; <= next_offset).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from blake3 import blake3

from schemas import envelope
from schemas.envelope import Envelope
from schemas.errors import SchemaError
from schemas.sealed import Closed, Known, Late, Part, Seal, SealedEpoch, decode_record, join_seal
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, LogRecord

MAX_OPEN_SEALS: Final = 64
"""Seals of one partition whose parts wait for their header; beyond it the oldest is given up (its writer died)."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class JoinedSeal:
    """A sealed epoch and the bytes it came in: the body's column block, and the record values, header last."""

    sealed: SealedEpoch
    blob: bytes
    values: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A record that could not be read. It stays in the log; this names it."""

    reason: str
    hash: str
    length: int


Item = JoinedSeal | Late | Closed | Envelope | LogRecord | Undecodable
"""epoch.sealed gives JoinedSeal, Late, Closed; chat.events gives Envelope; other streams give the record itself."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a stream said. time_ms: when the log took it in."""

    partition: int
    offset: int
    time_ms: int
    item: Item


@dataclass(frozen=True, slots=True)
class Slice:
    """What some consecutive records of one partition came to."""

    partition: int
    entries: Sequence[Entry]
    next_offset: int
    resume_offset: int
    size_bytes: int


_in_hand: "WeakValueDictionary[tuple[bytes, ...], JoinedSeal]" = WeakValueDictionary()
"""Seals that some projection of this process has not done with, by the values they came in: another projection of the
same stream, which meets them at about the same time, takes them from here instead of decoding them again."""


@dataclass(slots=True)
class _OpenSeal:
    first_offset: int
    values: list[bytes] = field(default_factory=list)
    blobs: list[bytes] = field(default_factory=list)


class Decoder:
    """One partition's records to entries. Keeps the parts of unfinished seals, bounded by MAX_OPEN_SEALS."""

    def __init__(self, stream: str, partition: int) -> None:
        self._stream, self._partition = stream, partition
        self._open: dict[tuple[str, int, int], _OpenSeal] = {}
        self.given_up_total = 0
        """Unfinished seals dropped because newer ones needed the room."""

    def feed(self, records: Sequence[LogRecord]) -> Slice:
        """Entries of these records (at least one), in order."""
        entries = []
        for record in records:
            item = self._item(record)
            if item is not None:
                entries.append(Entry(self._partition, record.offset, record.time_ms, item))
        next_offset = records[-1].offset + 1
        resume = min((seal.first_offset for seal in self._open.values()), default=next_offset)
        size = sum(len(record.value) for record in records)
        return Slice(self._partition, entries, next_offset, resume, size)

    def _item(self, record: LogRecord) -> Item | None:
        try:
            if self._stream == EPOCH_SEALED:
                return self._sealed(record)
            if self._stream == CHAT_EVENTS:
                said = envelope.decode(record.value)
                _refuse_nul(said.login, *(login for _, login in said.viewers))
                return said
            return record
        except SchemaError as error:
            return Undecodable(str(error), blake3(record.value).hexdigest(), len(record.value))

    def _sealed(self, record: LogRecord) -> Item | None:
        said = decode_record(record.value)
        if isinstance(said, Part):
            self._part(record, said)
            return None
        if isinstance(said, Known):
            return None  # for workers
        if not isinstance(said, Seal):
            return said
        parts = self._open.pop((said.channel, said.epoch_start_s, said.revision), None) if said.parts else None
        blobs, values = (parts.blobs, (*parts.values, record.value)) if parts else ([], (record.value,))
        found = _in_hand.get(values)
        if found is None:
            found = JoinedSeal(join_seal(said, blobs), b"".join(blobs) if parts else said.body, values)
            _refuse_nul(found.sealed.login, *found.sealed.body.identities, *found.sealed.body.logins)
            _in_hand[values] = found
        return found

    def _part(self, record: LogRecord, part: Part) -> None:
        key = (part.channel, part.epoch_start_s, part.revision)
        if part.index == 0:
            # A writer that came again starts its seal anew.
            self._open.pop(key, None)
            if len(self._open) >= MAX_OPEN_SEALS:
                del self._open[next(iter(self._open))]
                self.given_up_total += 1
            self._open[key] = _OpenSeal(record.offset)
        found = self._open.get(key)
        if found is not None and part.index == len(found.blobs):
            found.values.append(record.value)
            found.blobs.append(part.blob)


def _refuse_nul(*texts: str) -> None:
    """A record that no table could take must not stop its projection for ever."""
    if "\0" in "".join(texts):
        raise SchemaError(
            "a name bears the character U+0000, which Postgres cannot keep; its writer must drop such lines"
        )


def joined_again(offset: int, values: Sequence[bytes]) -> Item | None:
    """What the values of one held entry say: the same item that Decoder gave when it met them."""
    decoder = Decoder(EPOCH_SEALED, 0)
    entries = decoder.feed([LogRecord(offset, b"", value, 0) for value in values]).entries
    return entries[-1].item if entries else None
