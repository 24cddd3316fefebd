"""Rows of viewer_epochs as Postgres reads them in a binary COPY, built by columns.

Stands between a seal's columns and `connection.copy_to_table(..., format="binary")`: one numpy record a row instead of
a Python tuple a row. Form: PostgreSQL documentation, COPY, "Binary Format"; numeric: src/backend/utils/adt/numeric.c,
numeric_send (base-10000 digits, highest first; numeric_recv strips leading and trailing zero digits).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

SIGNATURE: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
_BASE: Final = 10_000
_SHORT_DIGITS: Final = 5
"""Base-10000 digits that hold any i64 amount; _LONG_DIGITS hold any product of a u64 weight and an i64 rate."""
_LONG_DIGITS: Final = 10


def amounts_base_units(weight_centi: NDArray[np.uint64], base_units_per_centi: int) -> NDArray[np.int64] | list[int]:
    """weight * rate, exact: an i64 column where all fit, else Python integers."""
    most = int(weight_centi.max()) if len(weight_centi) else 0
    if most * base_units_per_centi < 2**63:
        return weight_centi.astype(np.int64) * base_units_per_centi
    return [weight * base_units_per_centi for weight in weight_centi.tolist()]


def viewer_epoch_rows(
    viewer_key: NDArray[np.int64],
    weight_centi: NDArray[np.uint64],
    seal_id: int,
    leaf_index: NDArray[np.int64],
    increase_base_units: NDArray[np.int64] | Sequence[int],
) -> bytes:
    """n rows (viewer_key, weight_centi, seal_id, leaf_index, increase_base_units), without SIGNATURE and TRAILER.

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


def _digits(values: NDArray[np.int64] | Sequence[int]) -> NDArray[np.int16]:
    """(n, count) base-10000 digits, highest first."""
    if isinstance(values, np.ndarray):
        rest, count = values, _SHORT_DIGITS
        digits = np.empty((len(values), count), np.int16)
        for place in range(count - 1, -1, -1):
            rest, digits[:, place] = np.divmod(rest, _BASE)
        return digits
    count = _LONG_DIGITS
    return np.array(
        [[value // _BASE**place % _BASE for place in range(count - 1, -1, -1)] for value in values], np.int16
    ).reshape(len(values), count)
