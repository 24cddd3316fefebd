"""The marker of a claim: an account at an address that follows from what the claim pays, and from a secret.

The paying transaction creates it, so a second payment of the same allocations cannot land ("already in use"), whatever
a node said and whatever database was restored. The secret keeps others from funding the address first and so blocking
the claim. In: what is paid. Out: the seed and the address. Source of the layout: docs/claims.md, Ledger.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from blake3 import blake3
from solders.pubkey import Pubkey
from solders.system_program import ID as SYSTEM_PROGRAM

from streams.chain.errors import TermsError

DOMAIN: Final = b"twzrd/claim-marker/v1"
SECRET_BYTES: Final = 32
SEED_CHARACTERS: Final = 32
"""Solana's longest seed of an address."""


@dataclass(frozen=True, slots=True)
class PaidAllocation:
    """One allocation as its marker names it: identity of the channel, start of the epoch in s, revision."""

    channel: str
    epoch_start_s: int
    revision: int


def paid_bytes(viewer_key: int, allocations: Iterable[PaidAllocation]) -> bytes:
    """What the claim pays: viewer_key i64le, then for each allocation, sorted by (channel, epoch, revision), u16le
    length and bytes of the channel, u64le epoch_start_s, u32le revision. Raises TermsError."""
    rows = sorted((one.channel.encode(), one.epoch_start_s, one.revision) for one in allocations)
    if not rows:
        raise TermsError("a claim without allocations pays nothing; name at least one")
    if len(set(rows)) != len(rows):
        raise TermsError("an allocation stands twice in one claim; name each once")
    try:
        parts = [struct.pack("<q", viewer_key)]
        for channel, epoch_start_s, revision in rows:
            parts.append(struct.pack("<H", len(channel)) + channel + struct.pack("<QI", epoch_start_s, revision))
    except struct.error as error:
        raise TermsError(f"an allocation of viewer {viewer_key} does not fit its layout: {error}") from None
    return b"".join(parts)


def marker_seed(secret: bytes, viewer_key: int, allocations: Iterable[PaidAllocation]) -> str:
    """The seed: 32 hex digits. Raises TermsError."""
    if len(secret) != SECRET_BYTES:
        raise TermsError(f"the marker secret has {len(secret)} bytes; it must have {SECRET_BYTES}")
    return blake3(DOMAIN + paid_bytes(viewer_key, allocations), key=secret).hexdigest()[:SEED_CHARACTERS]


def marker_address(server_fee_payer: Pubkey, seed: str) -> Pubkey:
    """Where the marker lies: base = the server's fee payer, owner = System."""
    return Pubkey.create_with_seed(server_fee_payer, seed, SYSTEM_PROGRAM)
