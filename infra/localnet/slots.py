"""Time cut into slots. In: ms of the wall clock, or a test's hand. Out: the slot that is on.

A slot is reckoned from an anchor (this slot began at this ms), so a cluster that was down for a minute comes back a
minute's slots later, and heights never go back; the anchor is in the journal.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Anchor:
    """Slot `slot` began at `at_ms`; each lasts slot_ms, or, where that is 0, until somebody says so."""

    slot: int
    at_ms: int
    slot_ms: int


class SlotClock:
    """Which slot is on. It never goes back, whatever the wall clock does."""

    def __init__(self, anchor: Anchor) -> None:
        self.anchor = anchor
        self.slot = anchor.slot
        self.frozen = False

    def observe(self, now_ms: int) -> int:
        """The slot at now_ms, at least the last one seen."""
        if self.anchor.slot_ms and not self.frozen:
            passed = (now_ms - self.anchor.at_ms) // self.anchor.slot_ms
            self.slot = max(self.slot, self.anchor.slot + passed)
        return self.slot

    def until_next_ms(self, now_ms: int) -> int:
        """How long until the next slot; at least 1."""
        begins_ms = self.anchor.at_ms + (self.slot + 1 - self.anchor.slot) * self.anchor.slot_ms
        return max(1, begins_ms - now_ms)

    def move_to(self, slot: int, now_ms: int) -> Anchor:
        """Go on from `slot` now, by hand or after a standstill; the new anchor."""
        self.slot = max(self.slot, slot)
        self.anchor = Anchor(self.slot, now_ms, self.anchor.slot_ms)
        return self.anchor
