"""What viewer_logins has for sure, kept small, so that the usual participant of the usual hour costs no write.

In: sightings of viewers under logins. Out: those that may be news. A cache with one place for each of its slots: a
viewer put out by another one is merely written again, to no effect. Pure memory; forget it when a transaction was
rolled back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

SLOT_BITS: Final = 20
"""2**20 viewers are remembered, in 55 MB once all slots were used."""
LOGIN_BYTES: Final = 32
"""Longer logins are not remembered (Twitch's have at most 25 characters)."""
_MIX: Final = np.uint64(0x9E37_79B9_7F4A_7C15)
_WORD: Final = 8


@dataclass(frozen=True, slots=True)
class Sightings:
    """n times (or spans of time) at which a viewer bore a login: viewer_key (n,) i64; login (n,) utf8 padded with zeros
    to one length; first_ms, last_day (n,) i64, ms and days since 1970."""

    viewer_key: NDArray[np.int64]
    login: NDArray[np.bytes_]
    first_ms: NDArray[np.int64]
    last_day: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.viewer_key)

    def take(self, rows: NDArray[np.intp]) -> "Sightings":
        """The chosen ones, in that order."""
        return Sightings(self.viewer_key[rows], self.login[rows], self.first_ms[rows], self.last_day[rows])

    def merged(self) -> "Sightings":
        """Each (viewer_key, login) once, with its least first time and greatest last day; by viewer_key."""
        if len(self) == 0:
            return self
        # Eight bytes at a time: sorting by numbers takes a quarter of the time of sorting by bytes.
        words = self.login.view(np.uint64).reshape(len(self), -1)
        order = np.lexsort((*words.T, self.viewer_key))
        key, login = self.viewer_key[order], self.login[order]
        starts = np.flatnonzero(np.concatenate([[True], (key[1:] != key[:-1]) | (login[1:] != login[:-1])]))
        first_ms = np.minimum.reduceat(self.first_ms[order], starts)
        last_day = np.maximum.reduceat(self.last_day[order], starts)
        return Sightings(key[starts], login[starts], first_ms, last_day)


def padded(logins: Sequence[str]) -> NDArray[np.bytes_]:
    """Logins (none with U+0000) as Sightings has them; the length is a multiple of 8."""
    try:
        rows = np.array(logins, np.bytes_)  # a quarter of the time, where all are ASCII
    except UnicodeEncodeError:
        rows = np.array([login.encode() for login in logins], np.bytes_)
    return rows.astype(f"S{max(_WORD, -(-rows.itemsize // _WORD) * _WORD)}")


class KnownLogins:
    """For each slot: a viewer's key and login, and that the table has first_ms <= and last_day >= those kept here."""

    def __init__(self, slot_bits: int = SLOT_BITS) -> None:
        self._shift = np.uint64(64 - slot_bits)
        self._slots = 2**slot_bits
        self.forget()

    def forget(self) -> None:
        """Know nothing. An empty login marks a free slot."""
        # Made anew and not cleared: pages that are never used are never touched.
        self._key = np.zeros(self._slots, np.int64)
        self._login = np.zeros(self._slots, f"S{LOGIN_BYTES}")
        self._first_ms = np.zeros(self._slots, np.int64)
        self._last_day = np.zeros(self._slots, np.int64)

    def learn(self, seen: Sightings) -> NDArray[np.intp]:
        """Indices of those that may be news, ascending; the caller writes them, and from now on they are known. `seen`
        is merged: each viewer and login once."""
        length = np.char.str_len(seen.login)
        # An empty one marks a free slot and cannot be remembered.
        fits = (length > 0) & (length <= LOGIN_BYTES)
        slot = (seen.viewer_key.view(np.uint64) * _MIX) >> self._shift
        known = (
            fits
            & (self._key[slot] == seen.viewer_key)
            & (self._login[slot] == seen.login)
            & (self._first_ms[slot] <= seen.first_ms)
            & (self._last_day[slot] >= seen.last_day)
        )
        news = np.flatnonzero(~known)
        kept = news[fits[news]]
        at = slot[kept]
        self._key[at], self._login[at] = seen.viewer_key[kept], seen.login[kept]
        self._first_ms[at], self._last_day[at] = seen.first_ms[kept], seen.last_day[kept]
        return news
