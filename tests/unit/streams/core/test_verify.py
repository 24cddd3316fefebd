"""Dumps and leaves that a dishonest sealer could make: consistent in every hash, but not in what they count."""

from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.bundle import Presence
from schemas.errors import ProofError
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.seal import LeafCounts, SealHeader, leaf_preimages
from streams.core.merkle import merkle_root
from streams.core.proofs import ProvableEpoch
from streams.core.verify import verify_bundle, verify_dump
from tests.hours import CHANNEL, T0_S, sealed_hour, viewers_of

DOUBLED: Policy = msgspec.structs.replace(
    DEFAULT_POLICY, weights_centi=msgspec.structs.replace(DEFAULT_POLICY.weights_centi, bit=2)
)


def forged(policy: Policy, **columns: list[int]) -> tuple[SealHeader, bytes]:
    """Header and dump of two viewers with these counts; every hash is right."""
    hour = sealed_hour(viewers_of(2), policy=policy)
    zeros: dict[str, Any] = {name: np.zeros(2, np.uint64) for name in LeafCounts.__struct_fields__}
    counts = LeafCounts(**{**zeros, **{name: np.array(column, np.uint64) for name, column in columns.items()}})
    leaves = leaf_preimages(CHANNEL, T0_S, hour.body.refs, counts)
    header = msgspec.structs.replace(
        hour.header,
        root=merkle_root(leaves),
        total_weight_centi=sum(columns["weight_centi"]) % 2**64,
        total_messages=0,
    )
    return header, leaves.tobytes()


def presence(header: SealHeader, policy: Policy, dump: bytes) -> Presence:
    rows = np.frombuffer(dump, np.uint8).reshape(-1, 96)
    bundle = ProvableEpoch(header.encode(), policy.canonical, rows).prove(rows[0, 16:48].tobytes())
    assert isinstance(bundle, Presence)
    return bundle


def test_a_forgery_without_a_fault_would_pass() -> None:
    header, dump = forged(DOUBLED, bits=[2**40, 0], weight_centi=[2**41 + 100, 100])
    verify_dump(header, DOUBLED, dump)
    assert verify_bundle(presence(header, DOUBLED, dump)).weight_centi == 2**41 + 100


def test_a_weight_that_wrapped_around_is_no_weight_of_those_counts() -> None:
    header, dump = forged(DOUBLED, bits=[2**63, 0], weight_centi=[100, 100])
    with pytest.raises(ProofError, match="weight_centi"):
        verify_dump(header, DOUBLED, dump)
    with pytest.raises(ProofError, match="weight_centi"):
        verify_bundle(presence(header, DOUBLED, dump))


def test_a_total_that_wrapped_around_is_no_total() -> None:
    header, dump = forged(DOUBLED, bits=[2**62, 2**62], weight_centi=[2**63 + 100] * 2)
    with pytest.raises(ProofError, match="total_weight_centi: the leaves sum to 18446744073709551816"):
        verify_dump(header, DOUBLED, dump)
