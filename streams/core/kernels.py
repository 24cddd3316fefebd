"""The fast extra of fold and seal: calls of native loops on columns.

`active` is None where the process has no native code; then every caller goes its own way in numpy or Python, which
gives the same results and is the oracle. ctypes releases the interpreter's lock during a call.
"""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.columns import EventColumns
from streams.core.native_code import NativeCode

KINDS = 6
"""Kinds 0..5 are folded."""


Sums = tuple[
    NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]
]
"""Per viewer (n): counts (6, n), bits, raid viewers, first and last ms, and the pair of the latest event."""


def address(array: NDArray[Any]) -> int:
    """Where an array's first byte lies."""
    at: int = array.__array_interface__["data"][0]  # a third of what array.ctypes costs
    return at


class Kernels:
    """The functions of `interning_ir` and `folding_ir`, mapped."""

    def __init__(self, code: NativeCode) -> None:
        p, n = ctypes.c_void_p, ctypes.c_int64
        self._code = code  # a table that outlives `use(None)` still calls it
        places = code.addresses
        self.intern = ctypes.CFUNCTYPE(n, ctypes.c_char_p, n, n, n, p, p, p, p, n, n, p)(places["intern_pairs"])
        self.place = ctypes.CFUNCTYPE(None, p, n, p, n)(places["place_pairs"])
        self._sum = ctypes.CFUNCTYPE(None, n, n, *[p] * 11)(places["sum_events"])
        self._gather = ctypes.CFUNCTYPE(None, p, p, p, p, n, p)(places["gather_strings"])
        self._order = ctypes.CFUNCTYPE(None, p, n, p, p, p, p)(places["order_words"])
        self.seed = places["intern_pairs"]
        """Where the system put the code: nobody outside can make up viewers that all fall into one slot. No result
        depends on it."""

    def sum_events(
        self, events: EventColumns, viewer: NDArray[np.int64], n: int
    ) -> tuple[
        NDArray[np.uint32], NDArray[np.uint64], NDArray[np.uint64], NDArray[Any], NDArray[Any], NDArray[np.intp]
    ]:
        """Sums over events sorted by id. viewer: whose each event is, (events,)."""
        given = (
            np.ascontiguousarray(viewer, np.int64),
            np.ascontiguousarray(events.kind, np.uint8),
            np.ascontiguousarray(events.at, np.int64),
            np.ascontiguousarray(events.amount, np.uint32),
            np.ascontiguousarray(events.who, np.uint32),
        )
        # All results in one piece of memory: to ask where an array lies takes longer than to work out where it must.
        room = np.zeros((5 + KINDS // 2, n), np.int64)
        bits, raids, first, last, pair = room[:5]
        first[:], last[:] = np.iinfo(np.int64).max, np.iinfo(np.int64).min
        at, row = address(room), 8 * n
        taken = [address(column) for column in given]
        self._sum(len(events), n, *taken, at + 5 * row, at, at + row, at + 2 * row, at + 3 * row, at + 4 * row)
        counts = room[5:].reshape(-1).view(np.uint32).reshape(KINDS, n)
        return counts, bits.view(np.uint64), raids.view(np.uint64), first, last, pair

    def gather_strings(
        self, text: NDArray[np.uint8], begin: NDArray[np.int64], end: NDArray[np.int64], rows: NDArray[np.intp]
    ) -> bytes:
        """text[begin:end] of those rows, one after the other. text: at least 7 bytes more than any end."""
        begin, end = np.ascontiguousarray(begin), np.ascontiguousarray(end)
        rows = np.ascontiguousarray(rows, np.int64)
        total = int(np.add.reduce((end - begin)[rows]))
        out = np.empty(total + 7, np.uint8)
        self._gather(address(text), address(begin), address(end), address(rows), len(rows), address(out))
        return out[:total].tobytes()

    def order_words(self, words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
        """The order that sorts (n,) words ascending, and the words in it."""
        n = len(words)
        room = np.empty((4, n), np.uint64)
        room[0] = words
        counts = np.zeros(8 * 256, np.uint32)
        at = address(room)
        self._order(at, n, address(counts), at + 8 * n, at + 16 * n, at + 24 * n)
        return room[1].view(np.intp), room[0]


def order_words(words: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.uint64]]:
    """An order that sorts (n,) words ascending, and the words in it. Equal ones come in any order."""
    if active is not None:
        return active.order_words(words)
    order = np.argsort(words)
    return order, words.take(order)


active: Kernels | None = None


def use(code: NativeCode | None) -> None:
    """Turn the kernels of that code on for this process, or off. Called by `hashing.enable_fast`."""
    global active
    active = None if code is None else Kernels(code)
