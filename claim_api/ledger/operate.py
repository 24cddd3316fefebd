"""Operator: what is held and why, retry, freeze, the daily cap, the wait of a changed wallet. Runs as the
database's owner.

In: a connection of the owner. Out: rows for people. Freezing takes the lock of the signer's books: when it returns,
nothing new is being signed.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

from claim_api.ledger.errors import LedgerError
from claim_api.ledger.sql import sql
from claim_api.signer.sql import sql as signer_sql

MAX_LIMIT: Final = 1000
STATES: Final = ("reserved", "signed", "confirmed", "held")
_FAR_ID: Final = 2**63 - 1


async def claims(connection: Any, state: str | None, before_id: int | None, limit: int) -> list[dict[str, Any]]:
    """Claims of all viewers, newest first; of one state, or all."""
    rows = await connection.fetch(
        sql("list_claims"), state, _FAR_ID if before_id is None else before_id, max(1, min(limit, MAX_LIMIT))
    )
    return [_plain(row) for row in rows]


async def claim(connection: Any, claim_id: int) -> dict[str, Any]:
    """One claim with its allocations, attempts and audit log. Raises LedgerError."""
    row = await connection.fetchrow(sql("claim"), claim_id)
    if row is None:
        raise LedgerError(f"the ledger has no claim {claim_id}; list them with: twzrd claims list")
    return {
        **_plain(row),
        "allocations": _plain_rows(await connection.fetch(sql("allocations_of_claims"), [claim_id])),
        "attempts": _plain_rows(await connection.fetch(sql("attempts_of_claim"), claim_id)),
        "audit": _plain_rows(await connection.fetch(sql("audit_of"), f"claim {claim_id}")),
    }


async def retry(connection: Any, claim_id: int, note: str, fee: Literal["server", "viewer"]) -> None:
    """held -> reserved; so is what waits for its viewer to sign. To the viewer's wallet in force, unless something was
    signed for the claim already. fee: who pays it, where it was not the server's. The signer and the chain decide as
    ever: a claim that was paid is found paid. Raises LedgerError."""
    async with connection.transaction():
        await connection.execute(signer_sql("lock_books"))
        moved = await connection.fetch(sql("retry_claim"), claim_id, note, fee)
    if not moved:
        row = await connection.fetchrow(sql("claim"), claim_id)
        said = "not there" if row is None else row["state"]
        raise LedgerError(f"claim {claim_id} is {said}; only one that is held, or waits for its viewer, is retried")


async def freeze(connection: Any, because: str | None) -> None:
    """because: why, or None to let signing go on. When this returns, no signing is under way that began before."""
    async with connection.transaction():
        await connection.execute(signer_sql("lock_books"))
        await connection.execute(sql("set_frozen"), because is not None, because)


async def set_cap(connection: Any, base_units: int | None) -> None:
    """Most that is signed for in a day of UTC; None: no cap."""
    async with connection.transaction():
        await connection.execute(signer_sql("lock_books"))
        await connection.execute(sql("set_cap"), base_units)


async def set_wallet_wait(connection: Any, change_wait_s: int) -> None:
    """Whole seconds, 0 or more, until another wallet is in force. For changes from now on: what waits already
    keeps its time."""
    async with connection.transaction():
        await connection.execute(sql("set_wallet_wait"), change_wait_s)


async def wallet_wait(connection: Any) -> int:
    """Seconds that a change of wallet waits."""
    return int(await connection.fetchval(sql("wallet_wait")))


async def switches(connection: Any) -> dict[str, Any]:
    """How the switches stand."""
    return _plain(await connection.fetchrow(sql("switches")))


def _plain_rows(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [_plain(row) for row in rows]


def _plain(row: Any) -> dict[str, Any]:
    """Amounts as strings of digits, times as ISO 8601."""
    found = {}
    for name, value in row.items():
        if name.endswith("_base_units"):
            found[name] = None if value is None else str(int(value))
        else:
            found[name] = value.isoformat() if hasattr(value, "isoformat") else value
    return found
