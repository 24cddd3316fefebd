"""The native code reads and writes inside the arrays it was given, and nowhere else.

Every array lies against pages that nobody may touch, once at its end and once at its beginning: a byte too far is a
fault at the instruction that goes there. On the heap the same byte damages a neighbour, which dies much later,
somewhere else. A fault must not take the run with it, so each law is checked in a child.
"""

import ctypes
import faulthandler
import mmap
import os
import signal
import sys
import traceback
from collections.abc import Callable
from itertools import product
from typing import Any

import msgspec
import numpy as np
import pytest
from blake3 import blake3
from numpy.typing import NDArray

from schemas.columns import EventColumns
from streams.core import blake3_lanes, interning, kernels
from streams.core.blake3_lanes import Lanes, load_lanes
from streams.core.interning import NativeTable
from streams.core.kernels import KINDS, Kernels, address
from tests.lanes import LANES, needs_lanes

pytestmark = needs_lanes
COUNTS = (*range(20), 31, 32, 33, 47, 48, 49, 64, 70)
LENGTHS = (0, 1, 31, 32, 33, 63, 64, 65, 96, 128, 129, 1023, 1024)
_libc = ctypes.CDLL(None, use_errno=True)


class Guarded:
    """Stands in for numpy in a module: the arrays that it makes lie against forbidden pages."""

    def __init__(self, at_end: bool) -> None:
        self._at_end = at_end

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def zeros(self, shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
        page, dtype = mmap.PAGESIZE, np.dtype(dtype)
        nbytes = int(np.prod(shape)) * dtype.itemsize
        pages = -(-nbytes // page)
        memory = mmap.mmap(-1, (pages + 2) * page, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for guard in (start, start + (pages + 1) * page):
            if _libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(page), ctypes.c_int(0)):
                raise OSError(ctypes.get_errno(), "mprotect")
        return np.ndarray(shape, dtype, memory, page + (pages * page - nbytes if self._at_end else 0))

    def empty(self, shape: int | tuple[int, ...], dtype: Any) -> NDArray[Any]:
        return self.zeros(shape, dtype)

    def of(self, array: NDArray[Any]) -> NDArray[Any]:
        """A copy that lies so."""
        copy = self.zeros(array.shape, array.dtype)
        copy[...] = array
        return copy


def in_a_child(law: Callable[[], object]) -> None:
    """Run it in a fork. Fails with the signal that ended the child; where, faulthandler says on stderr."""
    child = os.fork()
    if not child:
        code = 1
        try:
            faulthandler.enable(2)
            law()
            code = 0
        except BaseException:  # noqa: BLE001 - a forked child must never return into the parent's code
            traceback.print_exc(file=sys.__stderr__)
        finally:
            os._exit(code)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended < 0:
        pytest.fail(f"the native code touched a byte outside its arrays: {signal.Signals(-ended).name}")
    assert ended == 0, "the law does not hold; the child's traceback is on stderr"


@pytest.fixture(scope="module", params=LANES, ids=lambda target: target.level)
def lanes(request: pytest.FixtureRequest) -> Lanes:
    return load_lanes(None, request.param)


@pytest.fixture(params=[True, False], ids=["end", "beginning"])
def guarded(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    guarded = Guarded(request.param)
    for module in (blake3_lanes, kernels, interning):
        monkeypatch.setattr(module, "np", guarded)
    return guarded


def random_bytes(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(shape).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("guarded", [True], indirect=True, ids=["end"])
def test_a_byte_too_far_is_a_fault(guarded: Guarded) -> None:
    with pytest.raises(pytest.fail.Exception, match="SIGSEGV"):
        in_a_child(lambda: ctypes.memset(address(guarded.zeros(17, np.uint8)), 1, 18))


def test_rows(lanes: Lanes, guarded: Guarded) -> None:
    def law() -> None:
        for n, length in product(COUNTS, LENGTHS):
            rows, keys = guarded.of(random_bytes(n, length)), guarded.of(random_bytes(n, 32))
            assert lanes.hash_rows(rows).tobytes() == b"".join(blake3(row.tobytes()).digest() for row in rows)
            lanes.hash_rows(rows, keys)
            lanes.hash_rows(rows, guarded.of(random_bytes(32)))

    in_a_child(law)


def test_nodes_trees_and_viewers(lanes: Lanes, guarded: Guarded) -> None:
    def law() -> None:
        for n in COUNTS:
            lanes.hash_nodes(guarded.of(random_bytes(n, 64)))
            lanes.tree_levels(guarded.of(random_bytes(n, 32)))
            if n:
                sizes = guarded.of(np.arange(n, dtype=np.uint32) % 31)
                lanes.hash_viewer_rows(guarded.of(random_bytes(n, 32)), sizes, bytes(32), bytes(16))

    in_a_child(law)


def test_sums_and_order(lanes: Lanes, guarded: Guarded) -> None:
    native = Kernels(lanes.code)

    def law() -> None:
        for n in COUNTS:
            words = random_bytes(n, 8).view(np.uint64).reshape(n)
            native.order_words(guarded.of(words))
            kind, who, viewers = np.arange(n) % KINDS, np.arange(n), max(1, n // 3)
            columns = [guarded.of(column.astype(of)) for column, of in ((who, "i8"), (kind, "u1"), (who, "u4"))]
            at, kinds, numbers = columns
            events = EventColumns([], at, np.zeros((n, 16), np.uint8), kinds, numbers, numbers)
            native.sum_events(events, guarded.of(np.arange(n)[::-1] % viewers), viewers)

    in_a_child(law)


def test_strings_gathered(lanes: Lanes, guarded: Guarded) -> None:
    """Of every size, an empty one last, first and alone: a whole word for nothing is 8 bytes, not 7."""
    native = Kernels(lanes.code)

    def law() -> None:
        for sizes in ([], *([first, last] for first, last in product(range(26), range(10)))):
            end = guarded.of(np.cumsum(sizes, dtype=np.int64))
            begin = guarded.of(end - np.array(sizes, np.int64))
            text = guarded.of(random_bytes(sum(sizes) + 7))
            rows = guarded.of(np.arange(len(sizes)))
            assert native.gather_strings(text, begin, end, rows) == text[:-7].tobytes()
            native.gather_strings(text, begin, end, guarded.of(np.arange(len(sizes))[-1:]))

    in_a_child(law)


def test_pairs_interned(lanes: Lanes, guarded: Guarded) -> None:
    """Whole pairs with logins of every form, and every beginning of them, which is damaged."""
    native = Kernels(lanes.code)
    pairs = [("twitch:id:" + "7" * (i % 25), "x" * size) for i, size in enumerate((0, 1, 8, 31, 32, 255, 256, 300))]
    packed = b"".join(map(msgspec.msgpack.encode, pairs))

    def law() -> None:
        for nbytes in range(len(packed) + 1):
            table = NativeTable(native)
            text = guarded.of(np.frombuffer(packed[:nbytes], np.uint8))
            numbers = guarded.empty(len(pairs), np.uint32)
            given = (ctypes.c_char_p(address(text)), nbytes, len(pairs), native.seed)
            known = native.intern(*given, *table._at, 0, address(numbers))
            assert (known >= 0) == (nbytes == len(packed))
        table = NativeTable(native)
        for grown in range(3):
            table.intern([(f"twitch:id:{grown}{number:05}", "somebody") for number in range(700)])
        assert len(table) == 2100

    in_a_child(law)
