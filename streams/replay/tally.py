"""What went into a replay, and what became of it."""

from collections import Counter
from dataclasses import dataclass, field, fields
from pathlib import Path

from schemas.dead import VERSION, DeadLetter, dead_letter
from schemas.sealed import SealedEpoch, Stats
from streams.collect.chunk import EVENTS, MALFORMED, Chunk
from streams.collect.files.names import shown


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

    def take_lines(self, source: str, chunk: Chunk) -> list[DeadLetter]:
        """Count the lines of a chunk, but for its events; gives its dead letters."""
        self.lines += chunk.lines
        for name, count in chunk.counts.items():
            if name not in (EVENTS, MALFORMED):
                self.other[name] += count
        self.malformed += len(chunk.dead)
        if chunk.broken:
            last = chunk.dead[-1]
            place = "" if last.reason.startswith(source) else f"{source} line {last.line_number}: "
            self.failed_inputs.append(shown(place + last.reason))
        return [
            DeadLetter(
                VERSION,
                "line",
                {"file": shown(source), "line": dead.line_number},
                shown(dead.reason),
                dead.hash,
                dead.length,
            )
            for dead in chunk.dead
        ]

    def take_fault(self, archive: Path, fault: Exception) -> DeadLetter:
        """Note what of an archive could not be read; gives its dead letter."""
        reason = shown(str(fault))
        self.failed_inputs.append(reason)
        return dead_letter("record", {"file": shown(str(archive))}, reason, b"")

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
