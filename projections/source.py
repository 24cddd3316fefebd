"""From log records to what projections take: decodes, joins the parts of seals, and keeps count of offsets.

In: records of one partition, in order. Out: entries, and two offsets: `next_offset` (everything below is out) and
`resume_offset` (where reading must start again to see an unfinished seal from its first part; <= next_offset).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from blake3 import blake3

from projections import fit
from schemas import envelope
from schemas.envelope import Envelope
from schemas.errors import SchemaError
from schemas.parts import OpenSeals
from schemas.sealed import Closed, Known, Late, Part, Seal, SealedEpoch, decode_record, join_seal
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, LogRecord


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


class Decoder:
    """One partition's records to entries. Keeps the parts of unfinished seals (schemas.parts)."""

    def __init__(self, stream: str, partition: int) -> None:
        self._stream, self._partition = stream, partition
        self._open = OpenSeals()

    @property
    def given_up_total(self) -> int:
        """Unfinished seals dropped at a bound of schemas.parts."""
        return self._open.given_up_total

    def feed(self, records: Sequence[LogRecord]) -> Slice:
        """Entries of these records (at least one), in order."""
        entries = []
        for record in records:
            item = self._item(record)
            if item is not None:
                entries.append(Entry(self._partition, record.offset, record.time_ms, item))
        return self._slice(entries, records[-1].offset + 1, sum(len(record.value) for record in records))

    def pass_over(self, next_offset: int) -> Slice:
        """No record lies below next_offset any more (a compacted stream has gaps)."""
        return self._slice([], next_offset, 0)

    def _slice(self, entries: Sequence[Entry], next_offset: int, size_bytes: int) -> Slice:
        return Slice(self._partition, entries, next_offset, self._open.resume_offset(next_offset), size_bytes)

    def _item(self, record: LogRecord) -> Item | None:
        try:
            if self._stream == EPOCH_SEALED:
                return self._sealed(record)
            if self._stream == CHAT_EVENTS:
                said = envelope.decode(record.value)
                fit.check_envelope(said)
                return said
            return record
        except SchemaError as error:
            return Undecodable(str(error), blake3(record.value).hexdigest(), len(record.value))

    def _sealed(self, record: LogRecord) -> Item | None:
        said = decode_record(record.value)
        if isinstance(said, Part):
            self._open.take(record.offset, said, record.value)
            return None
        if isinstance(said, Known):
            return None  # for workers
        if not isinstance(said, Seal):
            fit.check_notice(said)
            return said
        pieces = self._open.join(said) if said.parts else []
        if pieces is None:
            return None  # said by two writers at a time, whose parts are the same
        values = (*(piece.value for piece in pieces), record.value)
        found = _in_hand.get(values)
        if found is None:
            blobs = [piece.blob for piece in pieces]
            found = JoinedSeal(join_seal(said, blobs), b"".join(blobs) if blobs else said.body, values)
            fit.check_seal(found.sealed)
            _check_named(said, found.sealed)
            _in_hand[values] = found
        return found


def _check_named(said: Seal, sealed: SealedEpoch) -> None:
    header = sealed.header
    if (said.channel, said.epoch_start_s, said.revision) != (header.channel, header.epoch_start_s, header.revision):
        raise SchemaError(
            f"record of {said.channel} at {said.epoch_start_s} revision {said.revision} bears the header of "
            f"{header.channel} at {header.epoch_start_s} revision {header.revision}; its writer is damaged"
        )


def joined_again(offset: int, values: Sequence[bytes]) -> Item | None:
    """What the values of one held entry say: the same item that Decoder gave when it met them."""
    decoder = Decoder(EPOCH_SEALED, 0)
    entries = decoder.feed([LogRecord(offset, b"", value, 0) for value in values]).entries
    return entries[-1].item if entries else None
