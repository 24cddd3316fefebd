"""Does the server still answer? Own PINGs and their deadlines, as a pure state machine with the caller's clock.

A socket can stay open with nobody behind it, so only a byte that arrives counts as life. Two faults are told apart:
silence after a PING (the connection is dead: end it), and lines that go on while no PING is answered (it may be sick:
move its channels elsewhere before ending it).
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

TOKEN: Final = b"twzrd-"


class Verdict(Enum):
    """What to do now."""

    WAIT = "wait"
    PING = "ping"
    SILENT = "silent"
    UNANSWERED = "unanswered"


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds. At most 15 between PINGs, so that what a quiet channel claims keeps moving (design: Time)."""

    ping_s: float = 5.0
    silent_s: float = 8.0
    """Without any byte since a PING that long: dead."""
    answer_s: float = 30.0
    """A PING that long without its PONG, though other bytes came: sick."""


class Keepalive:
    """One connection's PINGs: numbered, so that an old or foreign PONG is no answer; a PONG answers all before it."""

    def __init__(self, now_s: float, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._heard_s = now_s
        self._sent_s = now_s
        self._oldest_s: float | None = None
        """When the oldest unanswered PING was sent."""
        self._sent = self._answered = 0

    def heard(self, now_s: float) -> None:
        """Bytes arrived."""
        self._heard_s = now_s

    def ping(self, now_s: float) -> bytes:
        """The token of the PING that is sent now."""
        self._sent += 1
        self._sent_s = now_s
        if self._oldest_s is None:
            self._oldest_s = now_s
        return TOKEN + str(self._sent).encode()

    def pong(self, token: bytes) -> bool:
        """Whether that PONG answers one of ours that was open."""
        number = token.removeprefix(TOKEN)
        if token == number or not number.isdigit() or not self._answered < int(number[:18]) <= self._sent:
            return False
        self._answered = int(number)
        # The next one sent after it is open still, by at most one PING's distance: count from the last.
        self._oldest_s = None if self._answered == self._sent else self._sent_s
        return True

    def verdict(self, now_s: float) -> Verdict:
        """What is due. UNANSWERED comes once, then counting starts anew."""
        if self._oldest_s is not None:
            if now_s - max(self._oldest_s, self._heard_s) >= self._deadlines.silent_s:
                return Verdict.SILENT
            if now_s - self._oldest_s >= self._deadlines.answer_s:
                self._oldest_s = None
                return Verdict.UNANSWERED
        if now_s - self._sent_s >= self._deadlines.ping_s:
            return Verdict.PING
        return Verdict.WAIT

    def next_s(self, now_s: float) -> float:
        """Seconds until `verdict` may say something else."""
        due_s = self._sent_s + self._deadlines.ping_s
        if self._oldest_s is not None:
            due_s = min(due_s, max(self._oldest_s, self._heard_s) + self._deadlines.silent_s)
        return max(0.01, due_s - now_s)
