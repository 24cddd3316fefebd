"""Short keys of viewers in the read models, so that an index entry takes 8 bytes and not an identity's text.

In: identities of a seal's participants. Out: an i64 each. A Twitch id in its canonical decimal form is its own key
(>= 0): no look-up and nothing to intern. Every other identity (known by login only, or an id with leading zeros) gets
a negative key from the registry viewer_keys, once for ever.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from projections.sql import sql
from schemas.identity import ID_PREFIX

MAX_ARITHMETIC_KEY: Final = 2**63 - 1
_FAST_DIGITS: Final = 18
"""Decimal digits that cannot overflow an i64."""
_TEXT_BYTES: Final = len(ID_PREFIX) + _FAST_DIGITS + 1
_PREFIX: Final = np.frombuffer(ID_PREFIX.encode(), np.uint8)
MAX_CACHED_KEYS: Final = 1_000_000
"""Bound of the interned keys kept in memory, least recently used first out; about 200 MB when full."""


def arithmetic_key(identity: str) -> int | None:
    """The key that follows from the identity alone, 0 .. 2**63 - 1; None where it takes the registry."""
    if not identity.startswith(ID_PREFIX):
        return None
    digits = identity[len(ID_PREFIX) :]
    if not (digits.isascii() and digits.isdigit()) or (digits[0] == "0" and digits != "0"):
        return None
    key = int(digits)
    return key if key <= MAX_ARITHMETIC_KEY else None


def arithmetic_keys(identities: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """(n,) keys and (n,) whether each follows from its identity; the same as arithmetic_key, by columns."""
    try:
        rows = np.array(identities, f"S{_TEXT_BYTES}")
    except UnicodeEncodeError:
        rows = np.zeros(len(identities), f"S{_TEXT_BYTES}")
    # A row for each place in the text, so that numpy goes over neighbours.
    text = np.ascontiguousarray(rows.view(np.uint8).reshape(-1, _TEXT_BYTES).T)
    digits = text[len(ID_PREFIX) :] - np.uint8(ord("0"))
    going = digits[0] < 10
    sure: NDArray[np.bool_] = going & (text[: len(ID_PREFIX)] == _PREFIX[:, None]).all(axis=0)
    keys, count = np.zeros(len(identities), np.int64), np.zeros(len(identities), np.uint8)
    for digit in digits[:_FAST_DIGITS]:
        going = going & (digit < 10)
        if not going.any():
            break
        keys = np.where(going, keys * 10 + digit, keys)
        count += going
    # Nothing else behind the digits, none before them that adds nothing.
    sure &= np.char.str_len(rows) == len(ID_PREFIX) + count
    sure &= (digits[0] != 0) | (count == 1)
    for place in np.flatnonzero(~sure).tolist():
        # Rare or not of that form at all: one by one.
        key = arithmetic_key(identities[place])
        if key is not None:
            keys[place], sure[place] = key, True
    return keys, sure


class KeyRing:
    """Keys of identities, interned as needed. New keys become known to others with the caller's transaction; call
    `forget` when that was rolled back."""

    def __init__(self, max_cached: int = MAX_CACHED_KEYS) -> None:
        self._cache: OrderedDict[str, int] = OrderedDict()
        self._max_cached = max_cached

    def forget(self) -> None:
        """Drop everything learnt; the next use reads the registry again."""
        self._cache.clear()

    async def keys(self, connection: Any, identities: Sequence[str]) -> NDArray[np.int64]:
        """(n,) i64 keys in the order given."""
        keys, sure = arithmetic_keys(identities)
        if not sure.all():
            places = np.flatnonzero(~sure).tolist()
            known = await self._interned(connection, [identities[place] for place in places])
            keys[places] = [known[identities[place]] for place in places]
        return keys

    async def _interned(self, connection: Any, identities: Sequence[str]) -> dict[str, int]:
        known: dict[str, int] = {}
        missing: list[str] = []
        for identity in identities:
            key = self._cache.get(identity)
            if key is None:
                missing.append(identity)
            else:
                self._cache.move_to_end(identity)
                known[identity] = key
        if missing:
            # Sorted, so that two projections that intern the same names wait for each other and never deadlock.
            missing = sorted(set(missing))
            await connection.execute(sql("intern_viewers"), missing)
            for row in await connection.fetch(sql("select_viewer_keys"), missing):
                known[row["identity"]] = self._cache[row["identity"]] = row["viewer_key"]
            while len(self._cache) > self._max_cached:
                self._cache.popitem(last=False)
        return known
