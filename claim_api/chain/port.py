"""The chain as payer and signer see it. Amounts are base units or lamports; addresses and signatures base58.

Every method may raise ChainAway: then nothing was learnt, and nothing may be concluded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from schemas.errors import TwzrdError

MAX_STATUSES: Final = 256
"""Signatures of one getSignatureStatuses."""
MAX_ACCOUNTS: Final = 100
"""Addresses of one getMultipleAccounts, and attempts of one look."""
BLOCKHASH_BLOCKS: Final = 150
"""So many blocks a blockhash lives. Source: Solana, MAX_PROCESSING_AGE."""


class ChainAway(TwzrdError):
    """No node answered, or too few of them."""


@dataclass(frozen=True, slots=True)
class Blockhash:
    """A recent blockhash and the last block height at which a transaction with it can land."""

    blockhash: str
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class Status:
    """What became of a signature. error: the chain's words, where it landed with one."""

    slot: int
    final: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class Account:
    """An account at finalized."""

    lamports: int
    owner: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction at finalized that names an address."""

    signature: str
    slot: int
    error: str | None


@dataclass(frozen=True, slots=True)
class LandedTransaction:
    """A transaction at finalized with its bytes."""

    slot: int
    error: str | None
    transaction: bytes


class Finding(StrEnum):
    """What a look at all nodes says of one attempt."""

    ALIVE = "alive"
    """Some node is not past its height yet."""
    MARKED = "marked"
    """Some node has the marker: something created it."""
    FOUND = "found"
    """Some node has the signature in its history."""
    DEAD = "dead"
    """Of all nodes more than half answered, and every one of them: past, no marker, no such signature."""
    UNKNOWN = "unknown"
    """Too few nodes answered."""


@dataclass(frozen=True, slots=True)
class Subject:
    """An attempt to be looked at. signature: None where nobody knows it (an action)."""

    marker: str
    signature: str | None
    last_valid_block_height: int


@dataclass(frozen=True, slots=True)
class Look:
    """Findings in the order of the subjects. slot: every node looked at this finalized slot or a later one."""

    slot: int
    findings: tuple[Finding, ...]


class Chain(Protocol):
    """One cluster."""

    async def latest_blockhash(self) -> Blockhash: ...

    async def block_height(self) -> int:
        """Of the newest block that any answering node has processed."""

    async def finalized_height(self) -> int:
        """A finalized block height that every answering node has reached."""

    async def marker_lamports(self) -> int:
        """The rent-exempt minimum of an empty account."""

    async def send(self, transaction: bytes) -> str | None:
        """Gives it to every node, without preflight. What stands against it where no node took it; it may land all the
        same. Raises ChainAway where no node answered."""

    async def statuses(self, signatures: Sequence[str], *, history: bool) -> list[Status | None]:
        """At most MAX_STATUSES, in their order. Every node is asked; final is what more than half of those that answer
        call final, in the same slot and with the same error; None: not known to more than half. history: look beyond
        the newest blocks too."""

    async def look(self, subjects: Sequence[Subject]) -> Look:
        """One look at every node, of at most MAX_ACCOUNTS attempts."""

    async def landings(self, address: str) -> list[Landing]:
        """Every transaction at finalized that names the address, newest first. Raises ChainAway where there are more
        than can be read."""

    async def all_landings(self, address: str, *, slot: int) -> list[Landing]:
        """What any node has of the address, at that finalized slot or a later one; without error where one says so.
        Raises ChainAway where not more than half of all nodes answer, or one has more than a page."""

    async def transaction(self, signature: str) -> LandedTransaction | None:
        """A transaction at finalized."""

    async def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        """At most MAX_ACCOUNTS, at finalized."""

    async def supply_base_units(self, mint: str) -> int:
        """Of the token, at finalized."""
