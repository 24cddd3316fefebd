"""Roots for the tuned peers: the benchmark's leaves through PyPI blake3, the loop inlined, in two processes.

Public packages only: what anybody would write around DuckDB or polars who wants it fast. Used by tuned_*.py.
"""

import gc
import os
import time
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

LEAF: Final = np.dtype([("tag", "u1"), ("user", "<u8"), ("count", "<u4"), ("weight", "<u8")])


def roots(leaves: NDArray[np.void], sizes: list[int]) -> list[bytes]:
    """The RFC 6962 root of each window; leaves stand one after the other, sizes of each window, none empty."""
    texts: list[bytes] = leaves.view(f"V{LEAF.itemsize}").tolist()
    done, total = 0, len(texts)
    half = 0
    while done < total // 2:
        done += sizes[half]
        half += 1
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "wb") as out:
            out.write(b"".join(_roots(texts[done:], sizes[half:])))
        os._exit(0)
    os.close(writer)
    first = _roots(texts[:done], sizes[:half])
    with os.fdopen(reader, "rb") as back:
        rest = back.read()
    os.waitpid(child, 0)
    return first + [rest[at : at + 32] for at in range(0, len(rest), 32)]


def _roots(texts: list[bytes], sizes: list[int]) -> list[bytes]:
    gc.disable()
    out, at, hasher = [], 0, blake3
    for size in sizes:
        level = [hasher(text).digest() for text in texts[at : at + size]]
        at += size
        while len(level) > 1:
            above = [hasher(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
            if len(level) & 1:
                above.append(level[-1])
            level = above
        out.append(level[0])
    return out


def fold(packed: NDArray[np.uint64], user_bits: int, weight_bits: int) -> tuple[NDArray[np.uint64], NDArray[np.void]]:
    """Sorted keys (window | user) and their leaves, of events packed as window | user | weight."""
    packed.sort()
    keys = packed >> np.uint64(weight_bits)
    first = np.flatnonzero(np.concatenate((np.ones(1, np.bool_), keys[1:] != keys[:-1])))
    leaves = np.zeros(len(first), LEAF)
    leaves["user"] = keys[first] & np.uint64((1 << user_bits) - 1)
    leaves["count"] = np.diff(first, append=len(keys))
    leaves["weight"] = np.add.reduceat(packed & np.uint64((1 << weight_bits) - 1), first)
    return keys[first], leaves


def report(name: str, windows: list[tuple[str, int]], found: list[bytes], leaves: int, started_s: float) -> None:
    """Print the line that every contender prints."""
    digest = blake3()
    for (channel, hour), root in sorted(zip(windows, found, strict=True)):
        digest.update(f"{channel}|{hour}|".encode())
        digest.update(root)
    taken_s = time.perf_counter() - started_s
    print(
        f"RESULT {name} windows={len(windows)} digest={digest.hexdigest()[:16]} inproc_s={taken_s:.3f} leaves={leaves}",
        flush=True,
    )
    os._exit(0)
