"""Checking what strangers hand over: a proof bundle, offline; a leaf dump against its seal. Raises ProofError."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from schemas.bundle import Absence, Bundle, Neighbour, Presence
from schemas.errors import ProofError, SchemaError
from schemas.policy import Policy, Weights, decode_policy
from schemas.seal import LEAF_DTYPE, LEAF_LAYOUT, SealHeader, decode_header, epoch_tag, viewer_ref
from streams.core.merkle import leaf_hash, merkle_root, root_from_path

COUNTED: Final = ("subs", "resubs", "gifts", "bits", "raid_viewers")
"""The columns that add to a leaf's weight."""


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good bundle shows. weight_centi and amount_base_units are of the leaf (0 for absence)."""

    kind: str
    header: SealHeader
    viewer_ref: bytes
    identity: str | None
    index: int | None
    weight_centi: int
    amount_base_units: int
    messages: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """One leaf preimage, taken apart."""

    preimage: bytes
    index: int
    viewer_ref: bytes
    weight_centi: int
    messages: int


def verify_bundle(bundle: Bundle) -> Verified:
    """Check everything a bundle claims. Raises ProofError or SchemaError naming what does not hold. It does not
    exclude a later revision, and a log inclusion in it is not accepted here without the log's key."""
    header = decode_header(bytes.fromhex(bundle.seal))
    policy = decode_policy(msgspec.json.encode(bundle.policy), "the bundle's policy")
    if policy.hash != header.policy_hash:
        raise ProofError(f"policy hashes to {policy.hash.hex()}, the seal names {header.policy_hash.hex()}")
    if policy.epoch_length_s != header.epoch_length_s:
        raise ProofError(f"policy's epoch length {policy.epoch_length_s} s is not the seal's {header.epoch_length_s} s")
    if bundle.log is not None or bundle.checkpoint is not None:
        raise ProofError("the bundle names a transparency log; this program has no log key to check it with")
    if isinstance(bundle, Presence):
        leaf = _check_leaf(Neighbour(leaf=bundle.leaf, path=bundle.path), header, policy)
        ref = leaf.viewer_ref
    else:
        leaf = None
        ref = bytes.fromhex(bundle.viewer_ref)
        _check_gap(bundle, ref, header, policy)
    identity = None
    if bundle.viewer is not None:
        identity = bundle.viewer.identity
        if viewer_ref(identity, bytes.fromhex(bundle.viewer.epoch_key)) != ref:
            raise ProofError(f"identity {identity!r} with this epoch_key does not open viewer_ref {ref.hex()}")
    weight = leaf.weight_centi if leaf else 0
    return Verified(
        "presence" if leaf else "absence",
        header,
        ref,
        identity,
        leaf.index if leaf else None,
        weight,
        weight * policy.base_units_per_centi,
        leaf.messages if leaf else 0,
    )


def _check_gap(bundle: Absence, ref: bytes, header: SealHeader, policy: Policy) -> None:
    """Two leaves side by side around the ref, or one at an edge, or none in an empty tree."""
    left = None if bundle.left is None else _check_leaf(bundle.left, header, policy)
    right = None if bundle.right is None else _check_leaf(bundle.right, header, policy)
    if left is None and right is None:
        if header.leaf_count or header.root != blake3(b"").digest():
            raise ProofError(f"absence without neighbours in a tree of {header.leaf_count} leaves")
        return
    if left is not None and right is not None and left.index + 1 != right.index:
        raise ProofError(f"neighbours {left.index} and {right.index} do not stand side by side")
    if left is None and right is not None and right.index != 0:
        raise ProofError(f"no left neighbour, but the right one has index {right.index}, not 0")
    if right is None and left is not None and left.index != header.leaf_count - 1:
        raise ProofError(f"no right neighbour, but the left one has index {left.index} of {header.leaf_count}")
    if left is not None and not left.viewer_ref < ref:
        raise ProofError(f"left neighbour's ref {left.viewer_ref.hex()} is not below {ref.hex()}")
    if right is not None and not ref < right.viewer_ref:
        raise ProofError(f"right neighbour's ref {right.viewer_ref.hex()} is not above {ref.hex()}")


def _check_leaf(proof: Neighbour, header: SealHeader, policy: Policy) -> Leaf:
    preimage = bytes.fromhex(proof.leaf)
    leaves = np.frombuffer(preimage, LEAF_DTYPE)
    _check_fields(leaves, header, policy)
    index = int(leaves["index"][0])
    path = [bytes.fromhex(step) for step in proof.path]
    root = root_from_path(leaf_hash(preimage), index, header.leaf_count, path)
    if root != header.root:
        raise ProofError(f"path of leaf {index} leads to root {root.hex()}, the seal has {header.root.hex()}")
    ref = leaves["viewer_ref"][0].tobytes()
    return Leaf(preimage, index, ref, int(leaves["weight_centi"][0]), int(leaves["messages"][0]))


def _check_fields(leaves: NDArray[np.void], header: SealHeader, policy: Policy) -> None:
    """What every leaf of an epoch must say (spec: Evidence tree); ProofError names the first that does not."""
    tag = np.frombuffer(epoch_tag(header.channel, header.epoch_start_s)[:8], np.uint8)
    counted = [leaves[name] for name in COUNTED]
    weights = weigh(counted, policy.weights_centi, np.uint64)
    # A sum that wrapped is no weight; what doubles cannot tell apart from 2^64 counts as too much.
    fits = weigh(counted, policy.weights_centi, np.float64) < 2.0**64 - 2.0**20
    checks = {
        "prefix": leaves["prefix"] == 0,
        "layout": (leaves["layout"] == LEAF_LAYOUT) & (leaves["zero"] == 0),
        "epoch_start_s": leaves["epoch_start_s"] == header.epoch_start_s,
        "epoch_tag": (leaves["epoch_tag"] == tag).all(axis=1),
        "index": leaves["index"] < header.leaf_count,
        "weight_centi": (leaves["weight_centi"] == weights) & (weights > 0) & fits,
    }
    for name, good in checks.items():
        if not good.all():
            row = int(np.flatnonzero(~good)[0])
            raise ProofError(
                f"leaf {int(leaves['index'][row])}: {name} is {leaves[name][row]}, which does not fit "
                f"its counts, its seal of {header.channel} at {header.epoch_start_s}, or the layout"
            )


def weigh(
    counted: Sequence[NDArray[Any]], weights: Weights, number: type[np.uint64] | type[np.float64]
) -> NDArray[Any]:
    """policy(counts) in hundredths, (n,), reckoned in that type. counted: the columns COUNTED."""
    centi = (weights.sub, weights.resub, weights.gift, weights.bit, weights.raid_viewer)
    total: NDArray[Any] = np.full(len(counted[0]), weights.presence, number)
    for column, each in zip(counted, centi, strict=True):
        total += column.astype(number) * number(each)
    return total


def exact_sum(column: NDArray[np.uint64] | NDArray[np.uint32]) -> int:
    """In numpy where a u64 cannot wrap, else in Python's integers."""
    if int(column.max(initial=0)) * len(column) < 2**64:
        return int(column.sum(dtype=np.uint64))
    return sum(column.tolist())


def verify_dump(header: SealHeader, policy: Policy, dump: bytes) -> None:
    """Check a whole leaf dump (96 bytes x leaf_count) against its seal: layout, order, weights, sums and root."""
    if len(dump) != 96 * header.leaf_count:
        raise ProofError(f"leaf dump has {len(dump)} bytes; {header.leaf_count} leaves take {96 * header.leaf_count}")
    if policy.hash != header.policy_hash:
        raise SchemaError(f"policy hashes to {policy.hash.hex()}, the seal names {header.policy_hash.hex()}")
    rows = np.frombuffer(dump, np.uint8).reshape(-1, 96)
    leaves = np.frombuffer(dump, LEAF_DTYPE)
    _check_fields(leaves, header, policy)
    if not np.array_equal(leaves["index"], np.arange(len(leaves), dtype=np.uint32)):
        raise ProofError("leaf dump is not in index order")
    words = np.ascontiguousarray(leaves["viewer_ref"]).view(">u8").astype(np.uint64).reshape(-1, 4)
    if not _strictly_ascending(words):
        raise ProofError("viewer refs of the leaf dump do not ascend strictly")
    sums = {
        "total_weight_centi": exact_sum(leaves["weight_centi"]),
        "total_messages": exact_sum(leaves["messages"]),
    }
    for name, total in sums.items():
        if total != getattr(header, name):
            raise ProofError(f"{name}: the leaves sum to {total}, the seal has {getattr(header, name)}")
    root = merkle_root(rows)
    if root != header.root:
        raise ProofError(f"leaves give root {root.hex()}, the seal has {header.root.hex()}")


def _strictly_ascending(words: NDArray[np.uint64]) -> bool:
    """Whether rows of four big-endian words rise, each above the one before."""
    above = np.zeros(max(len(words) - 1, 0), np.bool_)
    equal = ~above
    for column in words.T:
        above |= equal & (column[1:] > column[:-1])
        equal &= column[1:] == column[:-1]
    return bool(above.all())
