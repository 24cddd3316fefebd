"""Envelopes: one channel's events as they lie on `chat.events` (spec: Envelope). Bytes in, checked columns out."""

from functools import cached_property
from typing import Final, Literal

import msgspec
import numpy as np

from schemas import identity as identities
from schemas.columns import DELETION, MAX_AT_MS, MIN_AT_MS, EventColumns
from schemas.errors import SchemaError
from schemas.packed import PackedPairs, encodable, without_header
from schemas.versions import raise_if_newer

VERSION: Final = 1
MAX_EVENTS: Final = 200
"""What a producer puts into one envelope."""
MAX_ACCEPTED_EVENTS: Final = 65_536
"""What a reader takes: `who` is u16."""
MAX_BYTES: Final = 4 * 1024 * 1024
MAX_INTERVAL_MS: Final = 31 * 86_400_000
"""An observation longer than this is a fault of its writer."""

Type = Literal["events", "tick", "end", "reseal"]
CoverageKind = Literal["live", "recovered", "absent"]


class Envelope(msgspec.Struct, array_like=True, frozen=True, dict=True, forbid_unknown_fields=True):
    """One record of `chat.events`, as decoded; columns stay raw little-endian bytes until `columns()`, and viewers
    packed until they are looked at.

    observed: [from_ms, to_ms, kind] or None; seq counts a source's envelopes of a channel from 0. For a reseal
    record `observed` holds the epoch as [epoch_start_ms, epoch_end_ms, "absent"] and there are no events.
    """

    v: int
    type: Type
    channel: str
    login: str
    source: str
    seq: int
    observed: tuple[int, int, CoverageKind] | None
    packed_viewers: msgspec.Raw
    at: bytes
    ids: bytes
    kind: bytes
    who: bytes
    amount: bytes

    @cached_property
    def viewers(self) -> PackedPairs:
        """The (identity, login) pairs. Raises SchemaError where that column is no array."""
        return PackedPairs(*without_header(bytes(self.packed_viewers)))

    def check_viewers(self) -> None:
        """Raises SchemaError where a pair is damaged or its identity malformed, as interning them does."""
        identities.check_all([identity for identity, _ in self.viewers.decoded()])

    def columns(self) -> EventColumns:
        """The events, checked. Raises SchemaError on columns of unequal length or values out of range."""
        n = len(self.kind)
        lengths = (len(self.at), len(self.ids), len(self.who), len(self.amount))
        if lengths != (8 * n, 16 * n, 2 * n, 4 * n) or n > MAX_ACCEPTED_EVENTS:
            raise SchemaError(
                f"envelope {self.source}#{self.seq}: columns of {n} kinds have byte lengths at, id, who, amount = "
                f"{lengths}; they must be 8, 16, 2 and 4 times the number of events, at most {MAX_ACCEPTED_EVENTS}"
            )
        columns = EventColumns(
            self.viewers,
            np.frombuffer(self.at, "<i8"),
            np.frombuffer(self.ids, np.uint8).reshape(n, 16),
            np.frombuffer(self.kind, np.uint8),
            np.frombuffer(self.who, "<u2").astype(np.uint32),
            np.frombuffer(self.amount, "<u4"),
        )
        if n:
            who, kind = int(np.maximum.reduce(columns.who)), int(np.maximum.reduce(columns.kind))
            first_ms, last_ms = columns.span_ms
            if who >= len(columns.viewers):
                raise SchemaError(
                    f"envelope {self.source}#{self.seq}: who names viewer {who} of {len(columns.viewers)}; "
                    "it must index the viewers column"
                )
            if kind > DELETION:
                raise SchemaError(f"envelope {self.source}#{self.seq}: kind {kind} is unknown; kinds are 0..{DELETION}")
            if first_ms < MIN_AT_MS or last_ms >= MAX_AT_MS:
                raise SchemaError(
                    f"envelope {self.source}#{self.seq}: a time stamp lies outside 2011..2099; "
                    "drop such lines before they are put into an envelope"
                )
        return columns


_decoder = msgspec.msgpack.Decoder(Envelope)
_encoder = msgspec.msgpack.Encoder()


def decode(data: bytes, *, check_viewers: bool = True) -> Envelope:
    """Strict reading of one record. Raises UnknownVersion for a newer one, SchemaError for anything else amiss.

    Without check_viewers that column may be damaged still: for a caller that interns it, which checks it too, or has
    Envelope.check_viewers do it.
    """
    if len(data) > MAX_BYTES:
        raise SchemaError(f"envelope of {len(data)} bytes is over the bound of {MAX_BYTES}; split it")
    try:
        envelope = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise_if_newer(data, VERSION, "envelope")
        raise SchemaError(f"envelope does not decode: {error}") from error
    if envelope.v != VERSION:
        raise_if_newer(data, VERSION, "envelope")
        raise SchemaError(f"envelope version {envelope.v} does not exist; versions start at 1")
    if envelope.observed is not None:
        start, end, _ = envelope.observed
        if not MIN_AT_MS <= start < end < MAX_AT_MS or end - start > MAX_INTERVAL_MS:
            raise SchemaError(
                f"envelope {envelope.source}#{envelope.seq}: observed [{start}, {end}) must be a rising interval of "
                f"at most {MAX_INTERVAL_MS} ms between 2011 and 2100"
            )
    if envelope.type != "events" and envelope.kind:
        raise SchemaError(
            f"envelope {envelope.source}#{envelope.seq}: type {envelope.type!r} bears events; only type 'events' may"
        )
    if envelope.type == "reseal" and envelope.observed is None:
        raise SchemaError(f"envelope {envelope.source}#{envelope.seq}: a reseal record must name its epoch in observed")
    identities.check(envelope.channel)
    if "\0" in envelope.login or (b"\0" in envelope.viewers.elements and _bears_nul(envelope.viewers)):
        raise SchemaError(f"envelope {envelope.source}#{envelope.seq}: a login bears U+0000, which no table takes")
    if check_viewers:
        envelope.check_viewers()
    return envelope


def _bears_nul(viewers: PackedPairs) -> bool:
    """Whether a login does; the packed length of a long one may have zero bytes without it."""
    return any("\0" in login for _, login in viewers.decoded())


def encode(
    record_type: Type,
    channel: str,
    login: str,
    source: str,
    seq: int,
    observed: tuple[int, int, CoverageKind] | None = None,
    events: EventColumns | None = None,
) -> bytes:
    """One record's bytes. Viewers are written as given; the caller keeps each pair once."""
    if events is None:
        body: tuple[object, ...] = ([], b"", b"", b"", b"", b"")
    else:
        if len(events) > MAX_ACCEPTED_EVENTS or len(events.viewers) > 65_536:
            raise SchemaError(f"{len(events)} events do not fit one envelope; split them into {MAX_EVENTS} each")
        body = (
            encodable(events.viewers),
            events.at.astype("<i8", copy=False).tobytes(),
            events.ids.tobytes(),
            events.kind.astype(np.uint8, copy=False).tobytes(),
            events.who.astype("<u2").tobytes(),
            events.amount.astype("<u4", copy=False).tobytes(),
        )
    return _encoder.encode((VERSION, record_type, channel, login, source, seq, observed, *body))


def encode_reseal(channel: str, login: str, source: str, seq: int, epoch_start_s: int, epoch_length_s: int) -> bytes:
    """A reseal record: asks for the next revision of one epoch (spec: Revisions)."""
    start_ms = epoch_start_s * 1000
    return encode("reseal", channel, login, source, seq, (start_ms, start_ms + epoch_length_s * 1000, "absent"))
