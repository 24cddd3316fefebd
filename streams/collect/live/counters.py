"""What the intake and its outbound count: every bound, every drop, every rule. Read by who shows or exports them."""

from dataclasses import dataclass

from streams.collect.twitch import NOTICES_WITHOUT_USER, ROOM_CLEARS, SHARED_CHAT_COPIES


@dataclass(slots=True)
class IntakeCounters:
    """Totals since the process started; `_ms` are sums of time over all channels."""

    lines: int = 0
    events: int = 0
    """Events given to the outbound, doubles included."""
    control_lines: int = 0
    malformed_lines: int = 0
    dead_letters: int = 0
    refused_dead_letters: int = 0
    summed_dead_lines: int = 0
    """Malformed lines beyond the rate of dead letters: said in one letter with their number."""
    summed_dead_events: int = 0
    """The same of quarantined events."""
    shared_chat_copies: int = 0
    room_clears: int = 0
    notices_without_user: int = 0
    suppressed_events: int = 0
    unidentified_events: int = 0
    """Of somebody who may have opted out: named by a login whose id is not known, while others are opted out by id."""
    quarantined_events: int = 0
    """Time stamps 60 s ahead of Twitch's own time, or 24 h ahead of ours while that is not known: a dead letter, not an
    event."""
    envelopes: int = 0
    ticks: int = 0
    refused_envelopes: int = 0
    """The outbound had no room: events and interval dropped, a hole left."""
    dropped_events: int = 0
    unknown_channel_events: int = 0
    """Dropped because the bound of known channels was reached, and none of them could be forgotten."""
    forgotten_channels: int = 0
    """Heard no more and with nothing left to say, at that bound."""
    forgotten_ends: int = 0
    """Of the forgotten, how far they were claimed: should one come back, the hole since then is not declared."""
    claims_refused_clock: int = 0
    """Times that a channel was to be claimed and was not, since the clocks differ too much or Twitch's is not known."""
    room_changes: int = 0
    """A login that went over to another channel id."""
    holes: int = 0
    holes_absent: int = 0
    holes_recovered: int = 0
    live_ms: int = 0
    absent_ms: int = 0
    recovered_ms: int = 0

    def skipped(self, rule: str) -> None:
        """A line that is no event of its channel, by that rule of `twitch`."""
        if rule == SHARED_CHAT_COPIES:
            self.shared_chat_copies += 1
        elif rule == ROOM_CLEARS:
            self.room_clears += 1
        elif rule == NOTICES_WITHOUT_USER:
            self.notices_without_user += 1


@dataclass(slots=True)
class OutboundCounters:
    """Totals since the process started, but queued_* and spool_* sizes, which are how it stands."""

    put_records: int = 0
    refused_records: int = 0
    """No room in memory or on disk."""
    appended_records: int = 0
    append_errors: int = 0
    append_timeouts: int = 0
    queued_records: int = 0
    queued_bytes: int = 0
    spooling: bool = False
    outages: int = 0
    """How often sending changed over to the spool: the log was down or slow."""
    spooled_records: int = 0
    replayed_records: int = 0
    suppressed_events: int = 0
    """Taken out of records that waited for the log, since their viewer opted out meanwhile."""
    unidentified_events: int = 0
    """The same of those who may have: see IntakeCounters."""
    spool_bytes: int = 0
    spool_full: int = 0
    """Writes that the bound of the spool turned down."""
    spool_errors: int = 0
    """What the disk turned down (full, or broken): writes, syncs, reads, deletions."""
    torn_tails: int = 0
    torn_bytes: int = 0
    """Cut off the last segment at a start, from the first record on that is not whole: what was being written when the
    process was killed; after a power cut or damage all that lay behind it, too."""
    damaged_bytes: int = 0
    """Lost in a segment, from the first record on whose checksum does not fit or that cannot be read."""
    doubtful_claims: int = 0
    """Said absent instead, after such a loss: they speak for a time of which something was lost."""
    lost_at_close: int = 0
