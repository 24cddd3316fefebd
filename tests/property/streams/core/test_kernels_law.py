"""The native loops give what numpy gives."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.columns import EventColumns
from streams.core import blake3_ir, blake3_lanes, folding_ir, interning_ir, native_code
from streams.core.fold import numpy_sums
from streams.core.kernels import Kernels


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    target = native_code.instruction_set()
    text = blake3_ir.module_text(target.lanes) + interning_ir.TEXT + folding_ir.TEXT
    directory: Path = tmp_path_factory.mktemp("code")
    return Kernels(native_code.obtain(text, blake3_lanes.FUNCTIONS, target, directory))


AT_MS = 1_760_000_000_000
events_of_viewers = st.lists(
    st.tuples(
        st.integers(0, 6),
        st.integers(0, 5),
        st.integers(AT_MS, AT_MS + 3),
        st.sampled_from([0, 0, 1, 100, 2**32 - 1]),
        st.integers(0, 20),
    ),
    max_size=60,
)


@given(events_of_viewers, st.integers(7, 9))
def test_sums(kernels: Kernels, rows: list[tuple[int, int, int, int, int]], n: int) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 5).T
    viewer, kind, at, amount, who = columns
    events = EventColumns(
        [],
        at,
        np.zeros((len(rows), 16), np.uint8),
        kind.astype(np.uint8),
        who.astype(np.uint32),
        amount.astype(np.uint32),
    )
    native, ours = kernels.sum_events(events, viewer, n), numpy_sums(events, viewer, n)
    assert [column.tolist() for column in native] == [column.tolist() for column in ours]
    assert [column.dtype for column in native] == [column.dtype for column in ours]


@given(
    st.lists(st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 3), st.integers(2**63 - 2, 2**63 + 2)), max_size=300)
)
def test_order_of_words(kernels: Kernels, given_words: list[int]) -> None:
    words = np.array(given_words, np.uint64)
    order, ordered = kernels.order_words(words)
    assert order.tolist() == np.argsort(words, kind="stable").tolist()
    assert ordered.tolist() == sorted(given_words)


@given(st.lists(st.binary(max_size=40), max_size=20), st.data())
def test_strings_gathered(kernels: Kernels, strings: list[bytes], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.sampled_from(range(len(strings))))) if strings else []
    ends = np.cumsum([len(string) for string in strings], dtype=np.int64)
    begins = ends - np.array([len(string) for string in strings], np.int64)
    text = np.frombuffer(b"".join(strings) + bytes(7), np.uint8)
    assert kernels.gather_strings(text, begins, ends, np.array(rows, np.intp)) == b"".join(strings[row] for row in rows)
