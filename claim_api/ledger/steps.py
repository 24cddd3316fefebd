"""The places between two writes where a process may die: each is named, so that a test can kill it just there.

A composition is given `no_crash`; a test gives a hook that raises, or that sends its own process SIGKILL.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """Named after what has just been done, in the order of a claim's life."""

    TAKEN = "payer: reserved claims taken, nothing asked yet"
    CHECKED = "signer: checks passed, books not yet written"
    BOOKED = "signer: books committed, nothing signed yet"
    ANSWERING = "signer: signed, the answer not yet sent"
    SIGNED = "payer: signatures received, nothing stored yet"
    STORED = "payer: attempts committed, nothing sent yet"
    SENT = "payer: sent, not yet noted"
    NOTED = "payer: the sending noted"
    SEEN = "payer: seen on the chain, not yet confirmed"
    CONFIRMED = "payer: confirmation committed"
    LOOKED = "payer: a first look found an attempt dead"
    EXPIRING = "payer: two looks agree, expiry not yet committed"
    EXPIRED = "payer: expiry committed"
    RECLAIMING = "payer: rent asked back, not yet noted"


Crash = Callable[[Step], None]
"""Called at each step; it may end the process."""


def no_crash(_: Step) -> None:
    """What every process is given outside of tests."""
