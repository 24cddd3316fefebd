"""The simple fold, our contender: NDJSON events -> participants per (channel, hour) -> a blake3 root each.

A whole process of its own, started cold beside its peers. In: a file of {ts_ms, channel, user_id, login, kind, text}.
Out: the line that ../shared/bench's contenders print; digest d6e4e1baffdd7d0a on the seeded input. Leaf and shape are
that benchmark's (leaf 21 bytes), the reader, the fold by packed columns and the hashing are ours.

Two processes read half the file each (a fork after the imports); an event becomes one u64, channel | hour | user |
weight, so that one sort and two reduceats are the fold. The trees of all windows are hashed together, level by level.
"""

import mmap
import os
import sys
import time

T0 = time.perf_counter()

from pathlib import Path  # noqa: E402
from typing import Final, NamedTuple  # noqa: E402

import numpy as np  # noqa: E402
from blake3 import blake3  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from infra.bench.names import Names  # noqa: E402
from streams.collect.fast_ndjson import PAD, Shape, read_lines  # noqa: E402
from streams.core import hashing  # noqa: E402
from streams.replay.heap import keep_heap  # noqa: E402

U64 = NDArray[np.uint64]
WEIGHTS: Final = {b"message": 1, b"sub": 25, b"gift": 50, b"raid": 10, b"bits": 5}
HOUR_MS: Final = 3_600_000
BLOCK_BYTES: Final = 1 << 20
WEIGHT_BITS, USER_BITS, HOUR_BITS, CHANNEL_BITS = 6, 28, 20, 10
"""64 bits in all: weights to 63, users to 268M, hours to the year 2089, 1,023 channels; beyond it is refused."""
LEAF: Final = np.dtype([("tag", "u1"), ("user", "<u8"), ("count", "<u4"), ("weight", "<u8")])


class Refused(SystemExit):
    """An input that this benchmark's packing does not hold."""


class Half(NamedTuple):
    """What one process read: packed events and the channels by their local numbers."""

    events: U64
    channels: list[bytes]


def read_range(path: str, start: int, end: int) -> Half:
    """Pack the events of bytes [start, end), which are whole lines."""
    channels, kinds = Names(), Names()
    weight_of = np.zeros(0, np.uint64)
    room = np.zeros(PAD + 2 * BLOCK_BYTES + PAD, np.uint8)
    view = memoryview(room.data)
    out: list[U64] = []
    shape: Shape | None = None
    with open(path, "rb", buffering=0) as file:
        file.seek(start)
        left, carried = end - start, 0
        while left:
            got = file.readinto(view[PAD + carried : PAD + carried + min(left, BLOCK_BYTES)])
            if not got:
                raise Refused(f"{path} ended early; it shrank while being read")
            left -= got
            size = carried + got
            whole = size if not left else room[PAD : PAD + size].tobytes().rfind(b"\n") + 1
            if shape is None:
                shape = Shape.of(room[PAD : PAD + size].tobytes().split(b"\n", 1)[0])
                if shape is None:
                    raise Refused(f"{path}: its first line is no flat object")
            rest = room[PAD + whole : PAD + size].copy()
            room[PAD + whole : PAD + whole + PAD] = 0
            columns = read_lines(room, whole, shape)
            if columns.others:
                raise Refused(f"{path}: a line near byte {end - left} is not like the first")
            channel = channels.numbers(room, columns.starts["channel"], columns.ends["channel"])
            kind = kinds.numbers(room, columns.starts["kind"], columns.ends["kind"])
            if len(weight_of) != len(kinds.names):
                weight_of = np.array([WEIGHTS[name] for name in kinds.names], np.uint64)
            out.append(_packed(channel, columns.numbers["ts_ms"], columns.numbers["user_id"], weight_of[kind]))
            carried = len(rest)
            room[PAD : PAD + carried] = rest
    return Half(np.concatenate(out) if out else np.zeros(0, np.uint64), channels.names)


def _packed(channel: NDArray[np.intp], ts_ms: U64, user: U64, weight: U64) -> U64:
    hour = ts_ms // np.uint64(HOUR_MS)
    if len(user) and (int(user.max()) >> USER_BITS or int(hour.max()) >> HOUR_BITS):
        raise Refused("a user or hour beyond the packing")
    packed = channel.astype(np.uint64) << np.uint64(HOUR_BITS)
    packed |= hour
    packed <<= np.uint64(USER_BITS)
    packed |= user
    packed <<= np.uint64(WEIGHT_BITS)
    packed |= weight
    return packed


def read_file(path: str) -> Half:
    """Both halves as one, channels numbered in common."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        file.seek(size // 2)
        file.readline()
        middle = file.tell()
    shared = mmap.mmap(-1, max(8 * (size // 64), 1 << 16))  # a line of this shape has more than 64 bytes
    child = os.fork()
    if child == 0:
        try:
            half = read_range(path, middle, size)
            names = b"\n".join(half.channels)
            header = np.array([len(half.events), len(names)], np.uint64).tobytes()
            shared.write(header + names.ljust(-(-len(names) // 8) * 8))
            shared.write(half.events.data)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - a forked child must never return into the parent's code
            print(error, file=sys.stderr)
            os._exit(1)
    mine = read_range(path, 0, middle)
    _, status = os.waitpid(child, 0)
    if status:
        raise Refused(f"the second reader failed ({status})")
    count, length = (int(value) for value in np.frombuffer(shared, np.uint64, 2))
    theirs = bytes(shared[16 : 16 + length]).split(b"\n")
    events = np.frombuffer(shared, np.uint64, count, 16 + -(-length // 8) * 8)
    channels = {name: number for number, name in enumerate(mine.channels)}
    number_of = np.array([channels.setdefault(name, len(channels)) for name in theirs], np.uint64)
    if len(channels) >> CHANNEL_BITS:
        raise Refused("more channels than the packing holds")
    shift = np.uint64(HOUR_BITS + USER_BITS + WEIGHT_BITS)
    moved = (events & ((np.uint64(1) << shift) - np.uint64(1))) | (number_of[events >> shift] << shift)
    return Half(np.concatenate((mine.events, moved)), list(channels))


def fold(events: U64) -> tuple[U64, NDArray[np.uint32], U64]:
    """(channel | hour | user, count, weight) of each participant, ascending."""
    events.sort()
    keys = events >> np.uint64(WEIGHT_BITS)
    first = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), np.bool_), keys[1:] != keys[:-1])))
    count = np.diff(first, append=len(keys)).astype(np.uint32)
    weight = np.add.reduceat(events & np.uint64((1 << WEIGHT_BITS) - 1), first)
    return keys[first], count, weight


def forest_roots(hashes: NDArray[np.uint8], sizes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The RFC 6962 roots of trees that stand one after the other, sizes leaves each (all above 0): (trees, 32)."""
    while (sizes > 1).any():
        pairs, odd = sizes // 2, (sizes & 1).astype(np.bool_)
        starts = np.cumsum(sizes) - sizes
        nodes = (sizes + 1) // 2
        below_starts = np.repeat(starts - 2 * (np.cumsum(nodes) - nodes), nodes)
        left = below_starts + 2 * np.arange(int(nodes.sum()))
        paired = np.ones(len(left), np.bool_)
        paired[(np.cumsum(nodes) - 1)[odd]] = False
        above = np.empty((len(left), hashing.DIGEST_BYTES), np.uint8)
        wide = hashes.view("V32")[:, 0]
        both = np.empty((int(pairs.sum()), 2), "V32")
        both[:, 0] = wide[left[paired]]
        both[:, 1] = wide[left[paired] + 1]
        above[paired] = hashing.hash_nodes(both.view(np.uint8).reshape(-1, 64))
        above[~paired] = hashes[left[~paired]]
        hashes, sizes = above, nodes
    return hashes


def run(path: str, cache: Path | None) -> str:
    """Everything; the result line."""
    keep_heap()
    hashing.enable_fast(cache)
    half = read_file(path)
    keys, count, weight = fold(half.events)
    folded_s = time.perf_counter() - T0
    leaves = np.zeros(len(keys), LEAF)
    leaves["user"] = keys & np.uint64((1 << USER_BITS) - 1)
    leaves["count"], leaves["weight"] = count, weight
    windows = keys >> np.uint64(USER_BITS)
    first = np.flatnonzero(np.concatenate((np.ones(min(1, len(keys)), np.bool_), windows[1:] != windows[:-1])))
    hashes = hashing.hash_rows(leaves.view(np.uint8).reshape(-1, LEAF.itemsize))
    roots = forest_roots(hashes, np.diff(first, append=len(keys)))
    named = []
    for window, root in zip(windows[first].tolist(), roots, strict=True):
        named.append((half.channels[window >> HOUR_BITS].decode(), window & ((1 << HOUR_BITS) - 1), root.tobytes()))
    digest = blake3()
    for channel, hour, root_bytes in sorted(named):
        digest.update(f"{channel}|{hour}|".encode())
        digest.update(root_bytes)
    taken_s = time.perf_counter() - T0
    return (
        f"RESULT twzrd windows={len(named)} digest={digest.hexdigest()[:16]} inproc_s={taken_s:.3f} "
        f"fold_s={folded_s:.3f} ev_s={len(half.events) / taken_s:.0f} leaves={len(keys)}"
    )


if __name__ == "__main__":
    print(run(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None), flush=True)
    os._exit(0)
