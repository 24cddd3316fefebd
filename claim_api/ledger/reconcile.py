"""Every confirmed claim beside the chain, and their sum beside the supply: names each difference.

In: a connection that may read the ledger, the chain. Out: Difference rows; none means that both say the same. A claim
is compared by its own transaction: that it landed without an error, pays the claim's amount of the configured mint to
the claim's wallet, and creates the claim's marker.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from solders.pubkey import Pubkey

from claim_api.chain.port import Chain
from claim_api.ledger.sql import sql
from streams.chain.errors import ChainError
from streams.chain.payment import read_payment
from streams.chain.terms import MAX_COMPUTE_UNITS, Terms

PAGE: Final = 200
AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not as it should be. claim_id None: of the sums."""

    claim_id: int | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What claims are paid by. starting_supply_base_units: minted otherwise, before or beside the claims."""

    mint: Pubkey
    authority: Pubkey
    server_fee_payer: Pubkey
    source: Literal["mint", "treasury"]
    starting_supply_base_units: int = 0


async def differences(connection: Any, chain: Chain, expected: Expected) -> AsyncIterator[Difference]:
    """In order of the claims, the sums last. Raises ChainAway where the chain cannot be asked."""
    lamports = await chain.marker_lamports()
    after = 0
    while rows := await connection.fetch(sql("confirmed_claims"), after, PAGE):
        after = rows[-1]["claim_id"]
        for start in range(0, len(rows), AT_ONCE):
            some = rows[start : start + AT_ONCE]
            for found in await asyncio.gather(*(_claim(chain, row, expected, lamports) for row in some)):
                if found is not None:
                    yield found
    if expected.source == "mint":
        found = await _supply(connection, chain, str(expected.mint), expected.starting_supply_base_units)
        if found is not None:
            yield found


async def _supply(connection: Any, chain: Chain, mint: str, starting: int) -> Difference | None:
    """Claims go on meanwhile: what was confirmed before the supply was read is in it, and what is in it was stored
    before it was sent, so it is confirmed or signed after. Where nothing is under way both bounds are the same."""
    before = int((await connection.fetchrow(sql("sums"), mint))["confirmed"])
    supply = await chain.supply_base_units(mint)
    after = await connection.fetchrow(sql("sums"), mint)
    confirmed, signed = int(after["confirmed"]), int(after["signed"])
    if before + starting <= supply <= confirmed + signed + starting:
        return None
    return Difference(
        None,
        f"the supply of {mint} is {supply} base units; confirmed claims of {before}, of {confirmed} after it was read, "
        f"claims under way of {signed} and a starting supply of {starting} allow {before + starting} to "
        f"{confirmed + signed + starting}",
    )


async def _claim(chain: Chain, row: Any, expected: Expected, lamports: int) -> Difference | None:
    claim_id, amount = row["claim_id"], int(row["amount_base_units"])
    if int(row["allocated_base_units"] or 0) != amount:
        return Difference(claim_id, f"its allocations sum to {row['allocated_base_units']}, the claim is {amount}")
    if row["mint"] != str(expected.mint):
        return Difference(claim_id, f"it is of mint {row['mint']}, not {expected.mint}")
    landed = await chain.transaction(row["signature"])
    if landed is None:
        return Difference(claim_id, f"no node has its transaction {row['signature']} at finalized")
    if landed.error is not None:
        return Difference(claim_id, f"its transaction {row['signature']} landed with {landed.error}")
    if landed.slot != row["slot"]:
        return Difference(claim_id, f"its transaction landed in slot {landed.slot}, the ledger says {row['slot']}")
    wallet = Pubkey.from_string(row["wallet"])
    seed = row["marker_seed"]
    if seed is None:
        return Difference(claim_id, "the signer's books do not have it")
    why = ""
    for fee_payer in (expected.server_fee_payer, wallet):
        try:
            terms = Terms(
                fee_payer=fee_payer,
                server_fee_payer=expected.server_fee_payer,
                wallet=wallet,
                mint=expected.mint,
                authority=expected.authority,
                source=expected.source,
                amount_base_units=amount,
                marker_seed=seed,
                marker_lamports=lamports,
                compute_unit_limit=MAX_COMPUTE_UNITS,
                compute_unit_price_micro_lamports=2**63 - 1,
            )
            payment = read_payment(landed.transaction, terms)
        except ChainError as error:
            why = why or str(error)
            continue
        if str(terms.marker) != row["marker"]:
            return Difference(claim_id, f"its marker is {terms.marker}, the ledger says {row['marker']}")
        if payment.missing:
            return Difference(claim_id, f"its transaction lacks the signature of {payment.missing[0]}")
        return None
    return Difference(claim_id, f"its transaction is not its payment: {why}")
