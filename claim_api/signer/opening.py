"""Before the signer answers anybody: is this the role, and the secret, that its books were written with?

In: a pool of role twzrd_signer, the marker secret. Out: nothing, or SignerUnfit with the mend.
"""

from typing import Any, Final

import asyncpg
from solders.pubkey import Pubkey

from claim_api.signer.sql import sql
from schemas.errors import TwzrdError
from streams.chain.marker import PaidAllocation, marker_address, marker_seed

ROLE: Final = "twzrd_signer"


class SignerUnfit(TwzrdError):
    """The signer must not start this way."""


async def has_signed(pool: Any) -> bool:
    """Whether the books hold any claim."""
    return await pool.fetchrow(sql("newest_claim")) is not None


async def check_role(pool: Any) -> None:
    """Raises SignerUnfit where the role is another, or may do more than it should, or the database is not migrated."""
    try:
        row = await pool.fetchrow(sql("whoami"))
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise SignerUnfit(f"the database lacks a table: {error}; bring it up to date: twzrd db migrate") from error
    if row["role"] != ROLE or row["too_much"]:
        raise SignerUnfit(
            f"the signer's database role is {row['role']}, which may do more than it should; "
            f"give TWZRD_SIGNER_DATABASE_URL with user {ROLE}"
        )


async def check_secret(pool: Any, marker_secret: bytes, server_fee_payer: Pubkey) -> None:
    """Raises SignerUnfit. Another secret or fee payer would give the same claims other markers, and with them the
    chain's refusal of a second payment would be gone."""
    newest = await pool.fetchrow(sql("newest_claim"))
    if newest is None:
        return
    rows = await pool.fetch(sql("allocations_booked"), newest["claim_id"])
    paid = [PaidAllocation(one["channel"], one["epoch_start_s"], one["revision"]) for one in rows]
    if marker_seed(marker_secret, newest["viewer_key"], paid) != newest["marker_seed"]:
        raise SignerUnfit("the marker secret is not the one that claims were signed with; restore it from a backup")
    if str(marker_address(server_fee_payer, newest["marker_seed"])) != newest["marker"]:
        raise SignerUnfit(
            f"fee payer {server_fee_payer} is not the one that claims were signed with; restore its key from a backup"
        )
