"""A claim whose marker a stranger made: an operator has their lamports taken away, so that the claim can be paid.

In: a claim that is held with marker_taken, the fee payer's key (the base of every marker). Out: the marker gone at
finalized. Never a marker that a payment of ours made: no attempt of the claim may be able to land any more, and none
may have landed by what more than half of all nodes show. Nor may a taking outlive this one and meet the payment that
comes after it: there is one at a time, written down before it is sent, and the next waits until that one has ended.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import msgspec
from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from claim_api.chain.port import BLOCKHASH_BLOCKS, Chain, Finding, Subject
from claim_api.chain.whose import Whose, whose
from claim_api.ledger.errors import LedgerError
from claim_api.ledger.sql import sql
from claim_api.payer.paper import message_of, signing_of
from claim_api.signer.making import HEIGHT_MARGIN_BLOCKS
from streams.chain import rent, signing
from streams.chain.marker import marker_address

AGAIN: Final = "try again in a minute or two: twzrd claims retry"


@contextlib.asynccontextmanager
async def alone(connection: Any) -> AsyncIterator[None]:
    """One retry at a time: from the look at a marker until its claim is reserved again."""
    await connection.execute(sql("lock_retry"))
    try:
        yield
    finally:
        await connection.execute(sql("unlock_retry"))


class Freeing:
    """connection: of the database's owner, inside `alone`; authority: who signs payments; wait: between two looks at
    the chain."""

    def __init__(
        self,
        connection: Any,
        chain: Chain,
        fee_payer: Keypair,
        authority: Pubkey,
        wait: Callable[[], Awaitable[object]],
    ) -> None:
        self._connection, self._chain, self._authority, self._wait = connection, chain, authority, wait
        self._fee_payer = fee_payer

    async def free(self, claim_id: int) -> bool:
        """Whether lamports were taken; not from a claim that is not held for that, was paid by one of its attempts, or
        whose marker is gone. Raises LedgerError where it cannot be now, ChainAway."""
        row = await self._connection.fetchrow(sql("taken_marker"), claim_id)
        if row is None:
            return False
        marker, seed = row["marker"], row["marker_seed"]
        if str(marker_address(self._fee_payer.pubkey(), seed)) != marker:
            raise LedgerError(f"the fee payer {self._fee_payer.pubkey()} is not the base of marker {marker}")
        await self._nothing_may_land(claim_id, row["last_height"])
        look = await self._chain.look([Subject(marker, None, row["last_height"])])
        if look.findings[0] is Finding.DEAD:
            return False
        if look.findings[0] is not Finding.MARKED:
            raise LedgerError(f"claim {claim_id}: too few nodes answer for its marker {marker}; {AGAIN} {claim_id}")
        landings = await self._chain.all_landings(marker, slot=look.slot)
        made_by = await whose(self._chain, landings, await self._ours(claim_id), self._authority)
        if made_by is Whose.OURS:
            return False
        if made_by is Whose.UNKNOWN or not any(one.error is None for one in landings):
            raise LedgerError(
                f"claim {claim_id}: whether one of its attempts made marker {marker} cannot be known from its "
                f"{len(landings)} transactions; {AGAIN} {claim_id}, or look at them in an explorer"
            )
        [account] = await self._chain.accounts([marker])
        if account is None:
            raise LedgerError(f"claim {claim_id}: the nodes do not agree on its marker {marker}; {AGAIN} {claim_id}")
        await self._take(claim_id, marker, seed, account.lamports)
        return True

    async def _ours(self, claim_id: int) -> set[bytes]:
        signed = await self._connection.fetch(sql("signed_messages"), claim_id)
        stored = await self._connection.fetch(sql("stored_attempts"), claim_id)
        return {row["message"] for row in signed} | {message_of(row["transaction"]) for row in stored}

    async def _nothing_may_land(self, claim_id: int, last_height: int) -> None:
        """Neither an attempt of the claim nor an earlier taking."""
        height = await self._chain.finalized_height()
        if height <= last_height:
            raise LedgerError(
                f"claim {claim_id}: an attempt may still land until block {last_height}, the chain is at {height}; "
                f"{AGAIN} {claim_id}"
            )
        earlier = await self._connection.fetchrow(sql("last_taking"), f"claim {claim_id}")
        if earlier is None or height > earlier["last_height"]:
            return
        [status] = await self._chain.statuses([earlier["signature"]], history=True)
        if status is None or not status.final:
            raise LedgerError(
                f"claim {claim_id}: an earlier taking of its marker's lamports may still land until block "
                f"{earlier['last_height']}, the chain is at {height}; {AGAIN} {claim_id}"
            )

    async def _take(self, claim_id: int, marker: str, seed: str, lamports: int) -> None:
        recent = await self._chain.latest_blockhash()
        # No node may have us believe that it is dead before it is.
        newest = await self._chain.block_height()
        last = max(recent.last_valid_block_height, newest + BLOCKHASH_BLOCKS + HEIGHT_MARGIN_BLOCKS)
        message = rent.build_message(self._fee_payer.pubkey(), [(seed, lamports)], Hash.from_string(recent.blockhash))
        transaction = signing.sign(signing.unsigned(message), self._fee_payer)
        signature = signing_of(transaction)
        noted = {"marker": marker, "lamports": lamports, "signature": signature, "last_height": last}
        await self._connection.execute(sql("note_taking"), f"claim {claim_id}", msgspec.json.encode(noted).decode())
        while True:
            [status] = await self._chain.statuses([signature], history=True)
            if status is not None and status.final:
                if status.error is not None:
                    raise LedgerError(f"claim {claim_id}: its marker's lamports changed meanwhile; {AGAIN} {claim_id}")
                if (await self._chain.accounts([marker])) == [None]:
                    return
            if await self._chain.finalized_height() > last:
                raise LedgerError(f"claim {claim_id}: marker {marker} is still there; {AGAIN} {claim_id}")
            if status is None:
                await self._chain.send(transaction)
            await self._wait()
