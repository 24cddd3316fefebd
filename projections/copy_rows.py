"""Rows of viewer_epochs and viewer_logins as Postgres reads them in a binary COPY, built by columns.

Stands between columns of viewers and `connection.copy_to_table(..., format="binary")`: one numpy record a row instead
of a Python tuple a row. Form: PostgreSQL documentation, COPY, "Binary Format". numeric: numeric_send of its
src/backend/utils/adt/numeric.c (base-10000 digits, highest first; numeric_recv strips leading and trailing zero
digits). date: days since 2000.
"""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from projections.allocate import Amounts
from projections.known_logins import Sightings

_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_DAYS_TO_2000: Final = 10_957
_BASE: Final = 10_000
_SHORT_DIGITS: Final = 5
"""Base-10000 digits that hold any i64 amount; _LONG_DIGITS hold any product of a u64 weight and an i64 rate."""
_LONG_DIGITS: Final = 10


async def copy_rows(connection: Any, table: str, columns: Sequence[str], rows: bytes) -> None:
    """Send rows as the functions below make them."""
    source = BytesIO(b"".join((_SIGNATURE, rows, _TRAILER)))
    await connection.copy_to_table(table, source=source, columns=columns, format="binary")


def viewer_epoch_rows(
    viewer_key: NDArray[np.int64],
    weight_centi: NDArray[np.uint64],
    seal_id: NDArray[np.int64] | int,
    leaf_index: NDArray[np.int64],
    increase_base_units: Amounts | Sequence[int],
) -> bytes:
    """n rows (viewer_key, weight_centi, seal_id, leaf_index, increase_base_units).

    Increases are 0 .. 2**127; weights below 2**63 (Postgres has no unsigned 64-bit integer).
    """
    digits = _digits(increase_base_units)
    count = digits.shape[1]
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("key_len", ">i4"),
            ("key", ">i8"),
            ("weight_len", ">i4"),
            ("weight", ">i8"),
            ("seal_len", ">i4"),
            ("seal", ">i4"),
            ("leaf_len", ">i4"),
            ("leaf", ">i4"),
            ("numeric_len", ">i4"),
            ("digit_count", ">i2"),
            ("top_weight", ">i2"),
            ("sign", ">i2"),
            ("scale", ">i2"),
            ("digits", ">i2", (count,)),
        ]
    )
    rows = np.zeros(len(viewer_key), row)
    rows["fields"] = 5
    rows["key_len"] = rows["weight_len"] = 8
    rows["seal_len"] = rows["leaf_len"] = 4
    rows["key"], rows["weight"] = viewer_key, weight_centi
    rows["seal"], rows["leaf"] = seal_id, leaf_index
    rows["numeric_len"] = 8 + 2 * count
    rows["digit_count"], rows["top_weight"] = count, count - 1
    rows["digits"] = digits
    return rows.tobytes()


def viewer_login_rows(seen: Sightings) -> bytes:
    """n rows (viewer_key, login, first_seen_ms, last_seen_day)."""
    width, at = seen.login.itemsize, 18
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("key_len", ">i4"),
            ("key", ">i8"),
            ("login_len", ">i4"),
            ("login", seen.login.dtype),
            ("first_len", ">i4"),
            ("first", ">i8"),
            ("day_len", ">i4"),
            ("day", ">i4"),
        ]
    )
    rows = np.empty(len(seen), row)
    rows["fields"], rows["key_len"], rows["first_len"], rows["day_len"] = 4, 8, 8, 4
    rows["key"], rows["login"], rows["first"] = seen.viewer_key, seen.login, seen.first_ms
    rows["day"] = seen.last_day - _DAYS_TO_2000
    length = rows["login_len"] = np.char.str_len(seen.login)
    # All but the padding.
    kept = np.ones((len(seen), row.itemsize), np.bool_)
    kept[:, at : at + width] = np.arange(width) < length[:, None]
    return rows.view(np.uint8).reshape(kept.shape)[kept].tobytes()


def _digits(values: Amounts | Sequence[int]) -> NDArray[np.int16]:
    """(n, count) base-10000 digits, highest first."""
    if isinstance(values, np.ndarray) and values.dtype == np.int64:
        rest, count = values, _SHORT_DIGITS
        digits = np.empty((len(values), count), np.int16)
        for place in range(count - 1, -1, -1):
            rest, digits[:, place] = np.divmod(rest, _BASE)
        return digits
    count = _LONG_DIGITS
    return np.array(
        [[value // _BASE**place % _BASE for place in range(count - 1, -1, -1)] for value in values], np.int16
    ).reshape(len(values), count)
