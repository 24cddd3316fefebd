"""Viewers of many rows at once: each (identity, login) pair once, and which row is whose. After `fast_fields`."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.identity import ID_PREFIX
from streams.collect import fast_fields as fields
from streams.collect.fast_fields import U64, Bytes, Index

_LF: Final = 0x0A
_MIX: Final = tuple(
    np.uint64(factor) for factor in (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
)


def viewers_of(user: U64, login: Bytes) -> tuple[list[tuple[str, str]], NDArray[np.uint32]]:
    """Each (identity, login) pair once, and (n,) each row's place among them. login: (n, 32), zero-padded."""
    words = np.ascontiguousarray(login).view("<u8")
    pair = user * _MIX[0]
    for column, factor in enumerate(_MIX):
        pair = (pair ^ words[:, column]) * factor
        pair ^= pair >> np.uint64(29)
    _, shown, who = np.unique(pair, return_index=True, return_inverse=True)
    if (user[shown[who]] != user).any() or (words[shown[who]] != words).any():
        who, shown = _exact_pairs(user, login)
    lines = np.empty((len(shown), fields.LOGIN_WIDTH + 1), np.uint8)
    lines[:, :-1], lines[:, -1] = login[shown], _LF
    logins = lines.tobytes().translate(None, b"\0").decode().split("\n")[:-1]
    identities = [f"{ID_PREFIX}{number}" for number in user[shown].tolist()]
    return list(zip(identities, logins, strict=True)), who.astype(np.uint32)


def _exact_pairs(user: U64, login: Bytes) -> tuple[Index, Index]:
    """Pair of each row and a row of each pair, by the pairs themselves: for when two of them mix alike."""
    seen: dict[tuple[int, bytes], int] = {}
    shown: list[int] = []
    who = np.empty(len(user), np.int64)
    for row, key in enumerate(zip(user.tolist(), map(bytes, login), strict=True)):
        if key not in seen:
            seen[key] = len(shown)
            shown.append(row)
        who[row] = seen[key]
    return who, np.array(shown, np.int64)
