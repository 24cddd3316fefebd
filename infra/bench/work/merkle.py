"""One way to hash the evidence tree, in a process of its own: fast | loop | plain | fast-refs."""

import statistics
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.seal import LeafCounts, epoch_tag, leaf_preimages
from streams.core import hashing
from streams.core.merkle import merkle_root

LEAVES: Final = 500_000
REPEATS: Final = 5
CHANNEL: Final = "twitch:id:22484632"
START_S: Final = 1_760_000_400
PEPPER: Final = b"\x11" * 32


def rows_of(identities: list[bytes], counts: LeafCounts) -> NDArray[np.uint8]:
    """Leaf preimages (n, 96), sorted by ref, from identities."""
    refs, _ = hashing.viewer_refs(identities, PEPPER, epoch_tag(CHANNEL, START_S))
    words = refs.view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0], kind="stable")
    return leaf_preimages(CHANNEL, START_S, refs[order], counts.take(order))


def plain_root(leaves: list[bytes]) -> bytes:
    """The plain loop of ../shared/bench/merkle_loop.py, over leaves of 96 bytes."""
    hasher = blake3
    level = [hasher(leaf).digest() for leaf in leaves]
    while len(level) > 1:
        above = [hasher(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        if len(level) & 1:
            above.append(level[-1])
        level = above
    return level[0]


def main(way: str, cache: Path) -> None:
    """Measure one way."""
    identities = [b"twitch:id:%d" % (100_000_000 + 7 * i) for i in range(LEAVES)]
    n = np.arange(LEAVES)
    some, none = (n % 977 + 1).astype(np.uint32), np.zeros(LEAVES, np.uint32)
    wide = some.astype(np.uint64)
    counts = LeafCounts(wide * np.uint64(100), some, none, none, none, wide, wide)
    hashing.enable_fast(cache)
    rows = rows_of(identities, counts)
    if way in ("loop", "plain"):
        hashing.disable_fast()
    elif not hashing.FAST:
        raise SystemExit(f"the fast extra is not there: {hashing.fast_status.reason}")
    texts = rows.view("V96").ravel().tolist() if way == "plain" else []
    taken_s, root = [], b""
    for _ in range(REPEATS):
        start_s = time.perf_counter()
        if way == "plain":
            root = plain_root(texts)
        else:
            root = merkle_root(rows_of(identities, counts) if way == "fast-refs" else rows)
        taken_s.append(time.perf_counter() - start_s)
    print(f"leaves_s={LEAVES / statistics.median(taken_s):.0f} root={root.hex()}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
