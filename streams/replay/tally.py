"""What went into a replay, and what became of it."""

from collections import Counter
from dataclasses import dataclass, field, fields

from schemas.sealed import SealedEpoch, Stats


@dataclass(slots=True)
class Tally:
    """Counts of one replay. records are those of archives; other holds what readers pass over, by name."""

    lines: int = 0
    records: int = 0
    events: int = 0
    duplicates: int = 0
    conflicts: int = 0
    excluded: int = 0
    late: int = 0
    malformed: int = 0
    seals: int = 0
    open_epochs: int = 0
    other: Counter[str] = field(default_factory=Counter)
    failed_inputs: list[str] = field(default_factory=list)

    def take_seal(self, sealed: SealedEpoch) -> None:
        """Count one seal and what it says of its events."""
        self.seals += 1
        if sealed.header.revision == 0:
            self.take_stats(sealed.stats)

    def take_stats(self, stats: Stats) -> None:
        """Count what became of an epoch's events, sealed or not."""
        self.duplicates += stats.duplicates
        self.conflicts += stats.conflicts
        self.excluded += stats.excluded

    def add(self, other: "Tally") -> None:
        """Take in what another process counted."""
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            setattr(self, each.name, mine + theirs)
