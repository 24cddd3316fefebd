"""What viewer_logins has for sure, kept small, so that the usual participant of the usual hour costs no write.

In: columns of a seal's viewers. Out: the rows that may be news. A cache with one place for each of its slots: a viewer
put out by another one is merely written again, to no effect. Pure memory; forget it when a transaction was rolled back.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOT_BITS: Final = 20
"""2**20 viewers are remembered, in 55 MB once all slots were used."""
LOGIN_BYTES: Final = 32
"""Longer logins are not remembered (Twitch's have at most 25 characters)."""
_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)


class KnownLogins:
    """For each slot: a viewer's key and login, and that the table has first_ms <= and last_day >= those kept here."""

    def __init__(self, slot_bits: int = SLOT_BITS) -> None:
        self._shift = np.uint64(64 - slot_bits)
        slots = 2**slot_bits
        self._key = np.zeros(slots, np.int64)
        self._login = np.zeros(slots, f"S{LOGIN_BYTES}")
        self._first_ms = np.zeros(slots, np.int64)
        self._last_day = np.zeros(slots, np.int64)

    def forget(self) -> None:
        """Know nothing. An empty login marks a free slot."""
        self._login[:] = b""

    def learn(
        self, keys: NDArray[np.int64], logins: Sequence[str], first_ms: NDArray[np.int64], last_day: NDArray[np.int64]
    ) -> NDArray[np.intp]:
        """Indices of the rows that may be news, ascending; the caller writes them, and from now on they are known."""
        encoded = [login.encode() for login in logins]
        login = np.array(encoded, f"S{LOGIN_BYTES}")
        length = np.fromiter(map(len, encoded), np.int64, len(encoded))
        # An empty one marks a free slot and cannot be remembered.
        fits = (length > 0) & (length <= LOGIN_BYTES)
        slot = (keys.view(np.uint64) * _MIX) >> self._shift
        known = (
            fits
            & (self._key[slot] == keys)
            & (self._login[slot] == login)
            & (self._first_ms[slot] <= first_ms)
            & (self._last_day[slot] >= last_day)
        )
        news = np.flatnonzero(~known)
        kept = news[fits[news]]
        at = slot[kept]
        self._key[at], self._login[at] = keys[kept], login[kept]
        self._first_ms[at], self._last_day[at] = first_ms[kept], last_day[kept]
        return news
