"""Columns: each value once."""

import subprocess
import sys

import numpy as np
import pytest

from schemas.columns import distinct


@pytest.mark.parametrize("values", [[], [7], [3, 1, 3, 2, 1], [2**64 - 1, 0, 2**64 - 1], list(range(9, 0, -1)) * 3])
def test_each_value_once_ascending(values: list[int]) -> None:
    column = np.array(values, np.uint64)
    found = distinct(column)
    assert found.dtype == column.dtype
    assert found.tolist() == np.unique(column).tolist() == sorted(set(values))


def test_it_loads_no_masked_arrays() -> None:
    program = (
        "import sys, numpy as np; from schemas.columns import distinct; "
        "distinct(np.array([1, 2, 1])); sys.exit('numpy.ma' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
