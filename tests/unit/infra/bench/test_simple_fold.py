"""Rules of our contender in the simple fold: its trees and sums are those of the plain reading."""

import numpy as np
from blake3 import blake3

from infra.bench.simple_fold import WEIGHT_BITS, fold, forest_roots
from streams.core.merkle import Tree


def test_the_roots_of_a_forest_are_those_of_its_trees() -> None:
    sizes = [1, 2, 3, 4, 5, 8, 1, 17, 100, 33, 1]
    hashes = np.frombuffer(b"".join(blake3(bytes([i % 256, i // 256])).digest() for i in range(sum(sizes))), np.uint8)
    hashes = hashes.reshape(-1, 32)
    roots = forest_roots(hashes, np.array(sizes))
    at = 0
    for size, root in zip(sizes, roots, strict=True):
        assert root.tobytes() == Tree(hashes[at : at + size]).root
        at += size


def test_events_of_one_key_are_counted_and_weighed_together() -> None:
    keys, weights = [7, 3, 7, 7, 9], [1, 25, 50, 1, 10]
    packed = np.array([key << WEIGHT_BITS | weight for key, weight in zip(keys, weights, strict=True)], np.uint64)
    found, count, weight = fold(packed)
    assert found.tolist() == [3, 7, 9]
    assert count.tolist() == [1, 3, 1]
    assert weight.tolist() == [25, 52, 10]
