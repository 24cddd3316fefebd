"""The Intake: received lines -> envelopes with what was observed. Between the connections and the outbound.

Pure but for the calls it makes: no clock, no task. Whoever drives it calls `flush(now_ms)` every FLUSH_MS. Within one
flush a channel's events go out first, and what they allow to be claimed goes with or behind the last of them, so no
claim is on the log without its events.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

from schemas.columns import MESSAGE, EventColumns
from schemas.envelope import MAX_EVENTS, CoverageKind, encode
from streams.collect.chunk import LINE_TOO_LONG, MAX_LINE_BYTES
from streams.collect.cutting import window
from streams.collect.irc import Malformed, parse_line
from streams.collect.live.batching import Batch, Pending
from streams.collect.live.channels import Channels
from streams.collect.live.claims import Hole, Observed
from streams.collect.live.clock import TwitchClock
from streams.collect.live.counters import IntakeCounters
from streams.collect.live.dead_lines import DeadLines
from streams.collect.live.holes import Holes
from streams.collect.live.lines import QuickLines, split_lines
from streams.collect.live.port import Act, Outbound, Texts, nobody_acts
from streams.collect.live.suppression import NobodySuppressed, Suppression
from streams.collect.twitch import Event, Skip, derived_id

FLUSH_MS: Final = 250
TICK_MS: Final = 10_000
"""How often a channel without events says what was observed. The design's bound is 30 s; what is not said when the
process is killed becomes a hole."""
HOLE_WAIT_MS: Final = 60_000
"""A hole that history did not fill by then is declared absent (design: Time)."""
MAX_PENDING: Final = 8_192
"""Events that wait; more flush at once."""
QUARANTINE_MS: Final = 60_000
"""An event so far ahead of Twitch's time is no event; the fold would put it aside, too (design: Time)."""
UNSURE_QUARANTINE_MS: Final = 86_400_000
"""The same by this machine's clock, while Twitch's time is not known or more than 10 s off. Then records bear no
interval, so the fold can put nothing aside, and an event of 2099 would hold its low-water mark. A day, since it is this
clock that may be wrong: one that is further behind has no certificates that hold, either."""


class LiveIntake:
    """Implements port.Intake. source: this process's producer session, new at every start.

    said_to_ms: by channel identity, how far an earlier session's claims are on the log for certain (Twitch's time): the
    hole since then is declared, so that the frontier moves on. texts: where the operator keeps message text, and only
    then: the one who takes it.
    """

    def __init__(
        self,
        source: str,
        outbound: Outbound,
        suppression: Suppression | None = None,
        *,
        texts: Texts | None = None,
        said_to_ms: dict[str, int] | None = None,
        tick_ms: int = TICK_MS,
        hole_wait_ms: int = HOLE_WAIT_MS,
    ) -> None:
        self.counters = IntakeCounters()
        self.clock = TwitchClock()
        self.channels = Channels(self.clock, dict(said_to_ms or {}))
        self._source = source
        self._outbound = outbound
        self._suppression = suppression or Suppression(NobodySuppressed())
        self._texts = texts
        self._tick_ms = tick_ms
        self._lines = QuickLines()
        self._pending = Pending()
        self._dead = DeadLines(source, self.counters)
        self._holes = Holes(self._send, self.counters, hole_wait_ms)

    # ---- what connections tell -----------------------------------------------------------------------------------

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        """See port.Intake."""
        self.channels.observing(login, room_id, connection, at_ms)

    def lost(self, login: str, connection: int) -> None:
        """See port.Intake."""
        self.channels.lost(login, connection)

    def received(self, connection: int, lines: bytes, at_ms: int, act: Act = nobody_acts) -> None:
        """See port.Intake."""
        newest_ms = 0
        block = split_lines(lines, by_columns=self._texts is None)
        self.counters.lines += block.lines
        self.counters.shared_chat_copies += block.copies
        if block.by_columns is not None:
            self._pending.add_block(*block.by_columns)
        for index, line in enumerate(block.rest):
            if not line:
                continue
            stamped_ms = self._take_line(connection, line)
            if stamped_ms is None:
                self.counters.control_lines += 1
                newest_ms = max(newest_ms, block.newest_before_ms(index))
                self._prove_stamped(connection, at_ms, newest_ms)  # it may end a channel
                act(line, at_ms)
            elif stamped_ms > newest_ms:
                newest_ms = stamped_ms
        self._prove(connection, at_ms, max(newest_ms, block.newest_ms()))
        if self._pending.rows >= MAX_PENDING:
            self.flush(at_ms)

    def _take_line(self, connection: int, line: bytes) -> int | None:
        """Read one line; returns its time stamp where it is an event, None where it is for the connection, else 0."""
        if len(line) > MAX_LINE_BYTES:
            self._dead.add_line(connection, LINE_TOO_LONG, line)
            return 0
        try:
            found = self._lines.read(line)
        except Malformed as error:
            self._dead.add_line(connection, str(error), line)
            return 0
        if found is None:
            return None
        if isinstance(found, Skip):
            self.counters.skipped(found.rule)
        else:
            self._pending.add(found, line)
            if self._texts is not None and found.kind == MESSAGE:
                self._keep_text(self._texts, found, line)
            return found.at_ms
        return 0

    def _keep_text(self, texts: Texts, event: Event, line: bytes) -> None:
        """A message's text, unless its viewer opted out."""
        if self._suppression.hides(event.viewer, event.login):
            return
        event_id, text = event.id or derived_id(line, 0), parse_line(line).params[-1].decode(errors="replace")
        texts.put(event.channel, event.channel_login, event_id, event.at_ms, event.viewer, event.login, text)

    def _prove(self, connection: int, at_ms: int, newest_ms: int) -> None:
        """What the arrival of all these lines says about the clocks and the connection. newest_ms: 0 where none bears a
        time stamp."""
        if newest_ms:
            self.clock.sample(at_ms, newest_ms)
        self._prove_stamped(connection, at_ms, newest_ms)
        if (held := self.channels.connections.get(connection)) is not None:
            held.heard(at_ms)

    def _prove_stamped(self, connection: int, at_ms: int, newest_ms: int) -> None:
        """What stamps alone say, so far. Bytes must wait for the end of the read: its lines may show that they lag."""
        held, ahead = self.channels.connections.get(connection), self.clock.usable_ahead_ms
        if held is not None and newest_ms and ahead is not None:
            held.stamped(at_ms, newest_ms, ahead)

    # ---- flushing ------------------------------------------------------------------------------------------------

    def flush(self, now_ms: int) -> None:
        """Send what waits, and what may be claimed by now (this machine's time, ms)."""
        batches: dict[str, list[Batch]] = {}
        for batch in self._pending.take():
            channel = self.channels.identity_of(batch.channel, batch.login)
            batches.setdefault(channel, []).append(batch)
        for channel, of_channel in batches.items():
            self._send_batches(channel, of_channel, now_ms)
        due = [one for one in self.channels.heard() if now_ms - one.sent_at_ms >= self._tick_ms]
        for observed in (*self.channels.ended.values(), *due):
            observed.sent_at_ms = now_ms
            self._send_claims(observed, self._claimable(observed, now_ms), now_ms)
        self.channels.ended.clear()
        self._holes.declare_absent(now_ms)
        for letter in self._dead.take():
            self.counters.refused_dead_letters += not self._outbound.put_dead(letter)
        self.counters.room_changes = self.channels.room_changes
        self.counters.forgotten_channels = self.channels.forgotten
        self.counters.forgotten_ends = self.channels.forgotten_ends

    def _send_batches(self, channel: str, batches: list[Batch], now_ms: int) -> None:
        observed = self.channels.named(channel, batches[-1].login, now_ms)
        if observed is None:
            self.counters.unknown_channel_events += sum(len(batch.events) for batch in batches)
            return
        observed.sent_at_ms = now_ms
        if observed.said.intervals:
            said_ms = observed.said.intervals[-1][1]
            observed.late_events += sum(int(np.count_nonzero(batch.events.at < said_ms)) for batch in batches)
        claims = self._claimable(observed, now_ms)
        ready = [tame for batch in batches if len(tame := self._admitted(channel, batch.events, now_ms))]
        for place, events in enumerate(ready, 1):
            newest = None
            if place == len(ready) and claims and events.span_ms[1] < claims[-1][1] + QUARANTINE_MS:
                newest = claims.pop()
            if not self._send(observed, newest and (*newest, "live"), events):
                claims.clear()  # they may hold times of the events that found no room
            elif newest:
                self._claimed(observed, *newest, now_ms)
        self._send_claims(observed, claims, now_ms)

    def _admitted(self, channel: str, events: EventColumns, now_ms: int) -> EventColumns:
        """Without the opted-out, and without what bears a time far ahead."""
        admitted = self._suppression.without(events, self.counters)
        if not len(admitted):
            return admitted
        if (ahead := self.clock.usable_ahead_ms) is not None:
            limit_ms, whose = now_ms - ahead + QUARANTINE_MS, "60 s or more ahead of Twitch's time"
        else:
            limit_ms = now_ms + UNSURE_QUARANTINE_MS
            whose = "24 h or more ahead of this machine's clock; Twitch's time is not known"
        if admitted.span_ms[1] >= limit_ms:
            wild = admitted.ids[admitted.at >= limit_ms].tobytes()
            self.counters.quarantined_events += len(wild) // 16
            self._dead.add_events(channel, f"the time stamp lies {whose}", wild)
            admitted = window(admitted.take(admitted.at < limit_ms))
        return admitted

    def _claimable(self, observed: Observed, now_ms: int) -> list[tuple[int, int]]:
        if not observed.hearing and observed.channel not in self.channels.ended:
            return []
        ahead, least = self.clock.usable_ahead_ms, self.clock.usable_least_ms
        if ahead is None or least is None:
            self.counters.claims_refused_clock += 1
            return []
        return observed.claimable(self.channels.connections, now_ms, ahead, least)

    def _send_claims(self, observed: Observed, claims: list[tuple[int, int]], now_ms: int) -> None:
        for start, end in claims:
            if self._send(observed, (start, end, "live"), None):
                self._claimed(observed, start, end, now_ms)

    def _claimed(self, observed: Observed, start: int, end: int, now_ms: int) -> None:
        self.counters.live_ms += end - start
        self.counters.holes += observed.claimed(start, end, now_ms)
        self._holes.look_at(observed)

    def _send(
        self, observed: Observed, said: tuple[int, int, CoverageKind] | None, events: EventColumns | None
    ) -> bool:
        """One envelope to the outbound. False: no room; then the times of its events are never claimed as live."""
        value = encode(
            "tick" if events is None else "events",
            observed.channel,
            observed.login,
            self._source,
            observed.seq,
            said,
            events,
        )
        observed.seq += 1
        count = 0 if events is None else len(events)
        if not self._outbound.put(observed.channel, value, count, said_to_ms=said[1] if said else None):
            self.counters.refused_envelopes += 1
            self.counters.dropped_events += count
            observed.dropped_events += count
            if events is not None and (said is None or said[2] == "live"):
                observed.dropped(events.span_ms[1] + 1)
            return False
        self.counters.envelopes += 1
        self.counters.events += count
        observed.events += count
        if events is None:
            self.counters.ticks += 1
        else:
            observed.last_event_ms = max(observed.last_event_ms, events.span_ms[1])
        return True

    # ---- holes ---------------------------------------------------------------------------------------------------

    def holes(self) -> Iterator[Hole]:
        """What waits to be filled from history; each is declared absent hole_wait_ms after it was noticed."""
        return self._holes.waiting()

    def recovered(self, channel: str, events: EventColumns, from_ms: int, to_ms: int) -> None:
        """History filled [from_ms, to_ms) of that channel (identity); events: all that it has of it, doubles do no
        harm. A channel that is not known is left alone."""
        if (observed := self.channels.of(channel)) is None:
            return
        tame = self._suppression.without(events, self.counters)
        tame = tame.take(tame.at < to_ms + QUARANTINE_MS)
        parts = [window(tame, start, start + MAX_EVENTS) for start in range(0, len(tame), MAX_EVENTS)]
        self._holes.recovered(observed, parts, from_ms, to_ms)

    def absent(self, channel: str, from_ms: int, to_ms: int) -> None:
        """[from_ms, to_ms) of that channel (identity) was missed for good."""
        if (observed := self.channels.of(channel)) is not None:
            self._holes.absent(observed, from_ms, to_ms)
