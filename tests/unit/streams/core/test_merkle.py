"""The evidence tree's rules, on foreign vectors (RFC 6962, SHA-256) and on small trees."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3
from numpy.typing import NDArray

from schemas.errors import ProofError
from streams.core import merkle
from streams.core.hashing import HashInputError


def preimages(n: int, length: int = 96) -> NDArray[np.uint8]:
    rows = np.zeros((n, length), np.uint8)
    rows[:, 1:] = np.random.default_rng(n).integers(0, 256, (n, length - 1), dtype=np.uint8)
    return rows


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def test_every_rfc6962_inclusion_vector_is_judged_as_its_authors_say(shared_dir: Path) -> None:
    files = sorted((shared_dir / "vectors" / "rfc6962" / "inclusion").rglob("*.json"))
    assert len(files) == 98
    judged: dict[bool, int] = {True: 0, False: 0}
    for file in files:
        case = json.loads(file.read_text())
        leaf, root = base64.b64decode(case["leafHash"]), base64.b64decode(case["root"])
        path = [base64.b64decode(value) for value in case["proof"] or []]
        try:
            merkle.verify_inclusion(leaf, case["leafIdx"], case["treeSize"], path, root, hasher=sha256)
            refused = False
        except ProofError:
            refused = True
        assert refused == case["wantErr"], f"{file}: {case['desc']}"
        judged[refused] += 1
    assert judged == {True: 92, False: 6}


def test_empty_tree_has_the_hash_of_nothing_as_root() -> None:
    assert merkle.Tree.from_preimages(preimages(0)).root == blake3(b"").digest()
    assert merkle.merkle_root(preimages(0)) == blake3(b"").digest()


def test_a_single_leaf_is_the_root_and_has_an_empty_path() -> None:
    rows = preimages(1)
    tree = merkle.Tree.from_preimages(rows)
    assert tree.root == blake3(rows.tobytes()).digest() == merkle.leaf_hash(rows.tobytes())
    assert tree.path(0) == []


def test_an_odd_last_node_moves_up_and_is_not_doubled() -> None:
    rows = preimages(3)
    a, b, c = (blake3(row.tobytes()).digest() for row in rows)
    ab = blake3(b"\x01" + a + b).digest()
    tree = merkle.Tree.from_preimages(rows)
    assert tree.root == blake3(b"\x01" + ab + c).digest() == merkle.node_hash(ab, c)
    assert tree.path(2) == [ab]
    assert tree.path(0) == [b, c]


@pytest.mark.parametrize("index", [-1, 5, 2**64])
def test_an_index_outside_the_tree_is_refused(index: int) -> None:
    tree = merkle.Tree.from_preimages(preimages(5))
    for call in (
        lambda: tree.path(index),
        lambda: tree.leaf(index),
        lambda: merkle.path_length(index, 5),
        lambda: merkle.root_from_path(tree.leaf(0), index, 5, tree.path(0)),
    ):
        with pytest.raises(ProofError, match="outside a tree of 5 leaves"):
            call()


def test_a_path_of_the_wrong_length_is_refused_before_hashing() -> None:
    tree = merkle.Tree.from_preimages(preimages(5))
    path = tree.path(4)
    assert len(path) == 1
    for wrong in ([], path * 2):
        with pytest.raises(ProofError, match="takes exactly 1"):
            merkle.root_from_path(tree.leaf(4), 4, 5, wrong)


def test_hashes_of_another_length_are_refused_and_named() -> None:
    tree = merkle.Tree.from_preimages(preimages(4))
    path = tree.path(0)
    with pytest.raises(ProofError, match=r"path\[1\] has 31 bytes"):
        merkle.root_from_path(tree.leaf(0), 0, 4, [path[0], path[1][:-1]])
    with pytest.raises(ProofError, match="leaf hash has 33 bytes"):
        merkle.root_from_path(tree.leaf(0) + b"\0", 0, 4, path)


def test_a_leaf_that_looks_like_a_node_is_refused() -> None:
    rows = preimages(4)
    rows[2, 0] = 1
    with pytest.raises(HashInputError, match="leaf preimage 2 begins with 01"):
        merkle.Tree.from_preimages(rows)
    with pytest.raises(HashInputError, match="begins with 01"):
        merkle.leaf_hash(rows[2].tobytes())


def test_a_tree_says_what_it_weighs() -> None:
    tree = merkle.Tree.from_preimages(preimages(1000))
    assert tree.size == 1000
    assert 1999 * 32 <= tree.nbytes <= 2010 * 32


@pytest.mark.parametrize("shape", [(4, 31), (4,), (2, 2, 32)])
def test_leaf_hashes_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(HashInputError, match=r"^leaf hashes "):
        merkle.Tree(np.zeros(shape, np.uint8))
