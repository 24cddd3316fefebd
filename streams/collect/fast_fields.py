"""Single fields of many lines at once: numbers, UUIDs, logins from their places in a block. Used by `fast_irc`.

In: the bytes of a block, with at least 40 bytes of padding behind the last line, and (n,) starts and ends; start -1
marks an absent field. Out: (n,) values and a mask of those of the ordinary form; values outside the mask mean nothing.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
U64 = NDArray[np.uint64]

LOGIN_WIDTH: Final = 32
_MAX_FAST_LOGIN: Final = 25
_NUMBER_WIDTH: Final = 16
_ZEROS, _HIGH_BITS, _OVER_NINE = (np.uint64(byte * 0x0101010101010101) for byte in (0x30, 0x80, 0x76))
_PAIRS, _UPPER, _LOWER = (np.uint64(v) for v in (0x000000FF000000FF, 100 + (1_000_000 << 32), 1 + (10_000 << 32)))
_KEEP_LAST: Final = np.array([(1 << 64) - (1 << 64 - 8 * n) for n in range(9)], np.uint64)
"""Masks that keep the last n bytes of a little-endian word."""
_ALL_TRUE: Final = np.uint64(0x0101010101010101)

_HEX_PAIR: Final = np.full(65_536, 256, np.uint16)
"""The byte that two hex digits stand for, by their little-endian u16; 256: not hex."""
for _high in b"0123456789abcdefABCDEF":
    for _low in b"0123456789abcdefABCDEF":
        _HEX_PAIR[_high | _low << 8] = int(bytes((_high, _low)), 16)
_UUID_GROUPS: Final = ((0, 8, 0), (9, 13, 8), (14, 18, 12), (19, 23, 16), (24, 36, 20))
"""Start and end of each group in the text, and its start among the 32 digits."""
_DASHES: Final = (8, 13, 18, 23)


def gather(data: Bytes, start: Index, width: int) -> Bytes:
    """(n, width) bytes from each start on; as items of that width, which numpy copies whole."""
    items = np.ndarray((len(data) - width + 1,), f"V{width}", data, 0, (1,))
    return items[start].view(np.uint8).reshape(-1, width)


def words(data: Bytes, start: Index) -> U64:
    """(n,) the 8 bytes from each start on, little-endian."""
    return gather(data, start, 8).view("<u8")[:, 0]


def numbers(data: Bytes, start: Index, end: Index) -> tuple[U64, Mask]:
    """Numbers of 1 to 16 digits without leading zero (so number and text stand for each other), and which are such."""
    length = end - start
    ok = (start >= 0) & (length >= 1) & (length <= _NUMBER_WIDTH) & (end >= _NUMBER_WIDTH)
    near = gather(data, np.maximum(end - _NUMBER_WIDTH, 0), _NUMBER_WIDTH).view("<u8")
    value, good = eight_digits(near[:, 1], np.minimum(np.maximum(length, 0), 8))
    ok &= good
    ok &= (data[start] != 0x30) | (length == 1)
    if len(length) and length.max() > 8:
        upper, good = eight_digits(near[:, 0], np.minimum(np.maximum(length - 8, 0), 8))
        ok &= good
        value += upper * np.uint64(10**8)
    return value, ok


def digits(data: Bytes, start: Index, end: Index) -> Bytes:
    """(n, 16) the text of numbers of the ordinary form, ending where the row ends, zeros before it."""
    near = gather(data, end - _NUMBER_WIDTH, _NUMBER_WIDTH).view("<u8")
    length = end - start
    near[:, 1] &= _KEEP_LAST[np.minimum(length, 8)]
    near[:, 0] &= _KEEP_LAST[np.maximum(length - 8, 0)]
    return near.view(np.uint8)


def eight_digits(word: U64, length: Index) -> tuple[U64, Mask]:
    """(n,) the number in the last `length` (0..8) bytes of each little-endian word, and where all those are digits.
    Digits are summed side by side within the word: as pairs, then fours, then all eight."""
    digits = (word ^ _ZEROS) & _KEEP_LAST[length]
    ok = (((digits + _OVER_NINE) | digits) & _HIGH_BITS) == 0
    pairs = digits * np.uint64(10) + (digits >> np.uint64(8))
    fours = (pairs & _PAIRS) * _UPPER + ((pairs >> np.uint64(16)) & _PAIRS) * _LOWER
    return fours >> np.uint64(32), ok


def uuids(data: Bytes, start: Index, end: Index) -> tuple[Bytes, Mask]:
    """(n, 16) bytes of ids of the form 8-4-4-4-12, and which are such."""
    text = gather(data, start, 36)
    ok = (start >= 0) & (end - start == 36)
    for place in _DASHES:
        ok &= text[:, place] == 0x2D
    digits = np.empty((len(text), 32), np.uint8)
    for first, last, place in _UUID_GROUPS:
        digits[:, place : place + last - first] = text[:, first:last]
    pairs = _HEX_PAIR[digits.view("<u2")]
    ok &= _all_true(pairs < 256)
    return pairs.astype(np.uint8), ok


def logins(data: Bytes, start: Index, end: Index, until: int | None = None) -> tuple[Bytes, Mask]:
    """(n, 32) lowercased logins of [A-Za-z0-9_], zero-padded, and which are such, of 1 to 25 bytes.

    until: the byte that must close the login before `end`; None: the login reaches to `end`.
    """
    text = gather(data, start, LOGIN_WIDTH)
    length = end - start if until is None else np.argmax(text == until, axis=1)
    ok = (length >= 1) & (length <= _MAX_FAST_LOGIN) & (start + length <= end)
    inside = np.arange(LOGIN_WIDTH, dtype=np.uint8) < np.clip(length, 0, LOGIN_WIDTH).astype(np.uint8)[:, None]
    login = text + np.uint8(32) * (text - np.uint8(0x41) < 26)  # differences wrap, so one comparison bounds both sides
    good = (login - np.uint8(0x61) < 26) | (text - np.uint8(0x30) < 10) | (text == 0x5F)
    ok &= _all_true(good | ~inside)
    login *= inside
    return login, ok


def _all_true(mask: Mask) -> Mask:
    """mask.all(axis=1) of (n, 8k) contiguous flags, eight at a time."""
    flags = mask.view("<u8")
    out: Mask = flags[:, 0] == _ALL_TRUE
    for column in range(1, flags.shape[1]):
        out &= flags[:, column] == _ALL_TRUE
    return out
