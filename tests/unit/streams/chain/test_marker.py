"""The marker's seed is what docs/claims.md says, byte for byte."""

import struct

import pytest
from blake3 import blake3
from solders.pubkey import Pubkey

from streams.chain.errors import TermsError
from streams.chain.marker import PaidAllocation, marker_address, marker_seed, paid_bytes

SECRET = bytes(range(32))
ONE = PaidAllocation("twitch:id:12", 3600, 0)
TWO = PaidAllocation("twitch:id:12", 7200, 1)
OTHER = PaidAllocation("twitch:id:9", 3600, 0)


def test_golden_bytes() -> None:
    assert paid_bytes(-2, [ONE]).hex() == ("feffffffffffffff0c00" + b"twitch:id:12".hex() + "100e00000000000000000000")
    by_hand = struct.pack("<q", 7)
    for one in (ONE, TWO, OTHER):
        by_hand += struct.pack("<H", len(one.channel)) + one.channel.encode()
        by_hand += struct.pack("<QI", one.epoch_start_s, one.revision)
    assert (
        marker_seed(SECRET, 7, [ONE, TWO, OTHER])
        == blake3(b"twzrd/claim-marker/v1" + by_hand, key=SECRET).hexdigest()[:32]
    )
    assert marker_seed(SECRET, 7, [ONE, TWO, OTHER]) == "517f0313dd280055b764f73d055e97bc"


def test_the_address_is_solana_s_own_derivation() -> None:
    base = Pubkey.from_bytes(b"\5" * 32)
    assert str(marker_address(base, "ab" * 16)) == "iREL1893DK1PdjjPHEdHm6h8qsPMnnjcMB8BzPhkmAi"


def test_the_order_of_allocations_does_not_count() -> None:
    assert marker_seed(SECRET, 7, [OTHER, TWO, ONE]) == marker_seed(SECRET, 7, [ONE, TWO, OTHER])


@pytest.mark.parametrize(
    ("secret", "viewer", "allocations"),
    [
        (bytes(32), 7, [ONE]),
        (SECRET, 8, [ONE]),
        (SECRET, 7, [TWO]),
        (SECRET, 7, [OTHER]),
        (SECRET, 7, [ONE, TWO]),
    ],
)
def test_whatever_differs_gives_another_seed(secret: bytes, viewer: int, allocations: list[PaidAllocation]) -> None:
    assert marker_seed(secret, viewer, allocations) != marker_seed(SECRET, 7, [ONE])


@pytest.mark.parametrize(
    ("viewer", "allocations", "said"),
    [
        (7, [], "without allocations"),
        (7, [ONE, TWO, ONE], "stands twice"),
        (2**63, [ONE], "does not fit"),
        (7, [PaidAllocation("x" * 65_536, 0, 0)], "does not fit"),
        (7, [PaidAllocation("x", -1, 0)], "does not fit"),
        (7, [PaidAllocation("x", 0, 2**32)], "does not fit"),
    ],
)
def test_what_cannot_be_paid_has_no_seed(viewer: int, allocations: list[PaidAllocation], said: str) -> None:
    with pytest.raises(TermsError, match=said):
        marker_seed(SECRET, viewer, allocations)


def test_a_secret_of_another_length_is_refused() -> None:
    with pytest.raises(TermsError, match="31 bytes; it must have 32"):
        marker_seed(bytes(31), 7, [ONE])
