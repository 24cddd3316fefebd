"""What the read models answer, as typed rows. projections.read fills them; the API and the exports stand on them.

Amounts are integers in base units, weights integers in hundredths; times end in _ms or _s (UTC); hashes are raw bytes.
"""

import msgspec


class Channel(msgspec.Struct, frozen=True):
    """A channel with at least one seal. seals counts revisions too; login is the newest known."""

    channel: str
    login: str
    first_epoch_s: int
    last_epoch_s: int
    seals: int
    stopped: bool
    """A known seal came again with another root; nothing more of this channel is applied until an operator rules."""


class Epoch(msgspec.Struct, frozen=True):
    """One sealed epoch in one revision, without its body. seal_id rises in the order in which seals were applied."""

    seal_id: int
    channel: str
    login: str
    epoch_start_s: int
    epoch_length_s: int
    revision: int
    leaf_count: int
    total_weight_centi: int
    total_messages: int
    seal_hash: bytes
    root: bytes
    policy_hash: bytes
    header: bytes
    """Canonical bytes: schemas.seal.decode_header gives every field."""
    coverage: list[tuple[int, int, str]]
    observed_ms: int
    """Milliseconds of the epoch that were seen, live or recovered; absent_ms: declared missed."""
    absent_ms: int
    events: int
    duplicates: int
    conflicts: int
    excluded: int
    partition: int
    from_offset: int
    through_offset: int
    closed_by: str
    sealed_offset: int


class ViewerEpoch(msgspec.Struct, frozen=True):
    """One leaf of one viewer: where it lies and what it gave. Newest seal first."""

    seal_id: int
    channel: str
    login: str
    epoch_start_s: int
    revision: int
    leaf_index: int
    leaf_count: int
    weight_centi: int
    increase_base_units: int
    """What this revision added to the viewer's entitlement; 0 for viewers not known by a Twitch id."""


class Allocation(msgspec.Struct, frozen=True):
    """An amount (> 0) claimable by a viewer with a Twitch id, named for ever by identity, channel, epoch, revision."""

    identity: str
    channel: str
    channel_login: str
    epoch_start_s: int
    revision: int
    leaf_index: int
    weight_centi: int
    amount_base_units: int


class LoginSpan(msgspec.Struct, frozen=True):
    """A viewer bore this login: first seen to the millisecond, last seen to the UTC day (YYYY-MM-DD)."""

    identity: str
    login: str
    first_seen_ms: int
    last_seen_day: str


class Late(msgspec.Struct, frozen=True):
    """Events that came after their epoch had closed. sealed: some revision was folded through their record."""

    channel: str
    epoch_start_s: int
    events_offset: int
    count: int
    sealed: bool


class ClosedHours(msgspec.Struct, frozen=True):
    """Epochs [from_s, until_s) that closed without a seal: nobody observed them and nothing was said."""

    channel: str
    from_s: int
    until_s: int
    closed_by: str


class BoardViewer(msgspec.Struct, frozen=True):
    """One of the top viewers of an open hour; the counts are exact for a tracked viewer."""

    identity: str
    login: str
    messages: int
    weight_centi: int


class Board(msgspec.Struct, frozen=True):
    """An open (or just closed) hour as it is now; for people to look at, no seal depends on it."""

    channel: str
    login: str
    epoch_start_s: int
    participants: int
    """Tracked viewers: exact up to the bound projections.board.MAX_TRACKED_VIEWERS."""
    untracked_events: int
    """Events of viewers beyond that bound: no untracked viewer has more. 0 means that everything here is exact."""
    messages: int
    weight_centi: int
    last_event_ms: int
    observed_to_ms: int
    top: list[BoardViewer]


class Alarm(msgspec.Struct, frozen=True):
    """Something an operator must look at; detail is JSON text."""

    id: int
    raised_at_ms: int
    kind: str
    subject: str
    detail: str


class StoppedChannel(msgspec.Struct, frozen=True):
    """A channel whose known seal came again with another hash; held counts its records that wait for a ruling."""

    channel: str
    epoch_start_s: int
    revision: int
    known_seal_hash: bytes
    met_seal_hash: bytes
    held: int


class Standing(msgspec.Struct, frozen=True):
    """How the read models stand. last_seal_id: the newest, 0 where there is none; stopped: channels that wait for a
    ruling; alarms: ever raised."""

    last_seal_id: int
    stopped: int
    alarms: int


class Position(msgspec.Struct, frozen=True):
    """How far a projection has applied one partition: everything below next_offset."""

    projection: str
    stream: str
    partition: int
    version: int
    next_offset: int
