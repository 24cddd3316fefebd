"""Single fields of many lines at once: times, numbers, UUIDs, logins from their places in a block. Used by `fast_irc`.

In: the bytes of a block, with at least 40 bytes of padding behind the last line, and (n,) starts and ends; start -1
marks an absent field. Out: (n,) values and a mask of those of the ordinary form; values outside the mask mean nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import MAX_AT_MS, MIN_AT_MS

Index = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
U64 = NDArray[np.uint64]

LOGIN_WIDTH: Final = 32
_MAX_FAST_LOGIN: Final = 25
_MAX_FAST_DIGITS: Final = 18
_POWERS: Final = 10.0 ** np.arange(12, -1, -1)

_LOGIN_BYTE: Final = np.zeros(256, np.uint8)
for _byte in b"abcdefghijklmnopqrstuvwxyz0123456789_":
    _LOGIN_BYTE[_byte] = _byte
for _byte in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ":
    _LOGIN_BYTE[_byte] = _byte + 32
_NIBBLE: Final = np.full(256, 255, np.uint8)
for _position, _byte in enumerate(b"0123456789abcdef"):
    _NIBBLE[_byte] = _position
for _position, _byte in enumerate(b"ABCDEF"):
    _NIBBLE[_byte] = 10 + _position
_HEX_AT: Final = np.array([i for i in range(36) if i not in (8, 13, 18, 23)])
_DASH_AT: Final = np.array([8, 13, 18, 23])


def times(data: Bytes, start: Index, end: Index) -> tuple[NDArray[np.int64], Mask]:
    """Times of 13 digits, and which are such and lie in 2011..2099."""
    digits = data[start[:, None] + np.arange(13)] - np.uint8(0x30)
    ok = (start >= 0) & (end - start == 13) & (digits <= 9).all(axis=1)
    at = (digits.astype(np.float64) @ _POWERS).astype(np.int64)  # exact: below 2**53
    return at, ok & (at >= MIN_AT_MS) & (at < MAX_AT_MS)


def numbers(data: Bytes, start: Index, end: Index) -> tuple[U64, Mask]:
    """Numbers of 1 to 18 digits without leading zero (so number and text stand for each other), and which are such."""
    length = end - start
    ok = (start >= 0) & (length >= 1) & (length <= _MAX_FAST_DIGITS)
    ok &= (data[start] != 0x30) | (length == 1)
    value = np.zeros(len(start), np.uint64)
    for offset in range(int(length[ok].max(initial=0))):
        digit = data[start + offset] - np.uint8(0x30)
        more = offset < length
        ok &= (digit <= 9) | ~more
        value = np.where(more, value * np.uint64(10) + digit, value)
    return value, ok


def uuids(data: Bytes, start: Index, end: Index) -> tuple[Bytes, Mask]:
    """(n, 16) bytes of ids of the form 8-4-4-4-12, and which are such."""
    text = data[start[:, None] + np.arange(36)]
    ok = (start >= 0) & (end - start == 36) & (text[:, _DASH_AT] == 0x2D).all(axis=1)
    nibbles = _NIBBLE[text[:, _HEX_AT]]
    ok &= (nibbles <= 15).all(axis=1)
    return (nibbles[:, 0::2] << 4) | nibbles[:, 1::2], ok


def logins(data: Bytes, start: Index, end: Index, until: int | None = None) -> tuple[Bytes, Mask]:
    """(n, 32) lowercased logins of [A-Za-z0-9_], zero-padded, and which are such, of 1 to 25 bytes.

    until: the byte that must close the login before `end`; None: the login reaches to `end`.
    """
    text = data[start[:, None] + np.arange(LOGIN_WIDTH)]
    length = end - start if until is None else np.argmax(text == until, axis=1)
    ok = (length >= 1) & (length <= _MAX_FAST_LOGIN) & (start + length <= end)
    login = _LOGIN_BYTE[text]
    inside = np.arange(LOGIN_WIDTH) < length[:, None]
    ok &= ((login != 0) | ~inside).all(axis=1)
    login *= inside
    return login, ok
