"""Laws of the hashes and the tree: lanes equal the loop, every path proves its leaf, any changed byte does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.errors import ProofError
from streams.core import hashing, merkle
from streams.core.blake3_lanes import Lanes, load_lanes
from tests.lanes import LANES, needs_lanes

law = settings(deadline=None)
COUNTS = st.one_of(st.sampled_from([0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33]), st.integers(0, 200))
LENGTHS = st.one_of(
    st.sampled_from([0, 1, 31, 32, 33, 63, 64, 65, 96, 127, 128, 129, 1023, 1024]), st.integers(0, 1024)
)


@pytest.fixture(scope="module", params=LANES, ids=lambda target: target.level)
def lanes(request: pytest.FixtureRequest) -> Lanes:
    return load_lanes(None, request.param)


@pytest.fixture(autouse=True)
def plain_loop() -> Iterator[None]:
    """The oracle's side is active, whatever another test of this process turned on."""
    hashing.disable_fast()
    yield
    hashing.disable_fast()


def random_rows(n: int, length: int, seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (n, length), dtype=np.uint8)


def leaf_rows(n: int, seed: int) -> NDArray[np.uint8]:
    rows = random_rows(n, 96, seed)
    rows[:, 0] = 0
    return rows


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word: split at the largest power of two below n."""
    if not leaves:
        return blake3(b"").digest()
    if len(leaves) == 1:
        return blake3(leaves[0]).digest()
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return blake3(b"\x01" + naive_root(leaves[:split]) + naive_root(leaves[split:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1, PATH(m, D[n])."""
    if len(leaves) <= 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*naive_path(index, leaves[:split]), naive_root(leaves[split:])]
    return [*naive_path(index - split, leaves[split:]), naive_root(leaves[:split])]


@law
@given(n=COUNTS, length=st.one_of(LENGTHS, st.sampled_from([1025, 3000])), seed=st.integers(0, 2**32))
def test_hash_of_rows_is_the_hash_of_each_row(n: int, length: int, seed: int) -> None:
    rows = random_rows(n, length, seed)
    keys = random_rows(n, 32, seed + 1)
    assert hashing.hash_rows(rows).tobytes() == b"".join(blake3(row.tobytes()).digest() for row in rows)
    assert hashing.keyed_hash_rows(rows, keys).tobytes() == b"".join(
        blake3(row.tobytes(), key=key.tobytes()).digest() for row, key in zip(rows, keys, strict=True)
    )


@needs_lanes
@law
@given(n=COUNTS, length=LENGTHS, seed=st.integers(0, 2**32), keyed=st.sampled_from(["plain", "one key", "a key a row"]))
def test_lanes_equal_the_loop_on_rows_of_any_length(lanes: Lanes, n: int, length: int, seed: int, keyed: str) -> None:
    # One row and byte more than is hashed: the rows neither start aligned nor end where memory ends.
    rows = random_rows(n * length + 1, 1, seed).reshape(-1)[1:].reshape(n, length)
    if keyed == "plain":
        assert np.array_equal(lanes.hash_rows(rows), hashing.hash_rows(rows))
        return
    keys = random_rows(n, 32, seed + 1) if keyed == "a key a row" else random_rows(1, 32, seed + 1)[0]
    assert np.array_equal(lanes.hash_rows(rows, keys), hashing.keyed_hash_rows(rows, keys))


@needs_lanes
@law
@given(n=COUNTS, seed=st.integers(0, 2**32))
def test_lanes_equal_the_loop_on_nodes_and_whole_trees(lanes: Lanes, n: int, seed: int) -> None:
    pairs = random_rows(n, 64, seed)
    assert np.array_equal(lanes.hash_nodes(pairs), hashing.hash_nodes(pairs))
    leaves = random_rows(n, 32, seed)
    by_lanes, by_loop = lanes.tree_levels(leaves), hashing.tree_levels(leaves)
    assert [level.tobytes() for level in by_lanes] == [level.tobytes() for level in by_loop]


@needs_lanes
@law
@given(
    identities=st.lists(st.binary(max_size=30), max_size=70),
    long_ones=st.lists(st.binary(min_size=31, max_size=60), max_size=20),
    pepper=st.binary(min_size=32, max_size=32),
    tag=st.binary(min_size=16, max_size=16),
)
@example(identities=[b"twitch:id:0\0\0"] * 17, long_ones=[], pepper=b"\x11" * 32, tag=b"t" * 16)
def test_viewer_refs_are_the_documented_chain_in_lanes_and_loop(
    lanes: Lanes, identities: list[bytes], long_ones: list[bytes], pepper: bytes, tag: bytes
) -> None:
    everyone = [*identities, *long_ones]
    keys, refs = [], []
    for identity in everyone:
        viewer_key = blake3(identity, key=pepper).digest()
        keys.append(blake3(tag, key=viewer_key).digest())
        refs.append(blake3(b"\x02\x01" + keys[-1] + identity).digest())
    hashed = b"".join(blake3(identity, key=pepper).digest() for identity in everyone)
    for active in (None, lanes):
        hashing._lanes = active
        found_refs, found_keys = hashing.viewer_refs(everyone, pepper, tag)
        assert found_refs.tobytes() == b"".join(refs)
        assert found_keys.tobytes() == b"".join(keys)
        assert hashing.hash_strings(everyone, pepper).tobytes() == hashed
    if identities:
        by_lanes_refs, by_lanes_keys = lanes.hash_viewers(identities, pepper, tag)
        assert by_lanes_refs.tobytes() == b"".join(refs[: len(identities)])
        assert by_lanes_keys.tobytes() == b"".join(keys[: len(identities)])


@law
@given(n=COUNTS, seed=st.integers(0, 2**32))
def test_the_tree_is_the_recursive_definition_of_rfc6962(n: int, seed: int) -> None:
    rows = leaf_rows(n, seed)
    leaves = [row.tobytes() for row in rows]
    tree = merkle.Tree.from_preimages(rows)
    assert tree.root == merkle.merkle_root(rows) == naive_root(leaves)
    for index in {0, n // 2, n - 1} if n else set():
        assert tree.path(index) == naive_path(index, leaves)


@law
@given(n=st.integers(1, 130), seed=st.integers(0, 2**32))
def test_the_path_of_every_leaf_leads_to_the_root_and_to_no_other_place(n: int, seed: int) -> None:
    tree = merkle.Tree.from_preimages(leaf_rows(n, seed))
    for index in range(n):
        path = tree.path(index)
        assert len(path) == merkle.path_length(index, n)
        merkle.verify_inclusion(tree.leaf(index), index, n, path, tree.root)
        other = (index + 1 + seed % n) % n
        if other != index:
            with pytest.raises(ProofError):
                merkle.verify_inclusion(tree.leaf(index), other, n, path, tree.root)


@law
@given(
    n=st.integers(1, 80),
    seed=st.integers(0, 2**32),
    place=st.integers(0, 2**16),
    flip=st.integers(1, 255),
    where=st.integers(0, 2**16),
)
def test_a_flip_of_any_byte_of_leaf_path_or_root_fails(n: int, seed: int, place: int, flip: int, where: int) -> None:
    tree = merkle.Tree.from_preimages(leaf_rows(n, seed))
    index = place % n
    parts = [tree.leaf(index), tree.root, *tree.path(index)]
    target = where % len(parts)
    changed = bytearray(parts[target])
    changed[where % 32] ^= flip
    parts[target] = bytes(changed)
    leaf, root, *path = parts
    with pytest.raises(ProofError, match="leads to root"):
        merkle.verify_inclusion(leaf, index, n, path, root)
