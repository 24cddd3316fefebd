"""What each database role may and may not do is the database's to say, not our code's: every line of docs/claims.md,
Roles, tried."""

from typing import Any

import asyncpg
import pytest

from tests.claims_world import ClaimsWorld

INSERT_CLAIM = (
    "insert into claims.claims (viewer_key, wallet, mint, amount_base_units, fee) values (1, 'w', 'm', 1, 'server')"
)
OPTOUT = r"'\x96a66f70746f757401'::bytea"
FORGED = (
    ("'wanted|operator|somebody'", OPTOUT),
    ("'suppressed|twitch:login:somebody'", OPTOUT),
    ("'suppressed|twitch:id:5'", r"'\x96a677616e74656401'::bytea"),
    ("'suppressed|twitch:id:5'", OPTOUT + " || convert_to(repeat('x', 1024), 'UTF8')"),
)
"""What a web process that was taken over would have the control stream say."""
DENIED: dict[str, list[str]] = {
    "web": [
        "update claims.claims set state = 'confirmed'",
        "update claims.claims set wallet = 'x'",
        "delete from claims.claims",
        "insert into claims.claims (viewer_key, wallet, mint, amount_base_units, fee, state) "
        "values (1, 'w', 'm', 1, 'server', 'signed')",
        "delete from claims.claim_allocations",
        "update claims.claim_allocations set claim_id = 1",
        "insert into claims.user_wallets (viewer_key, wallet, effective_at, message, signature, form) "
        "values (1, 'w', now(), '', '', 'siws')",
        "update claims.user_wallets set effective_at = now()",
        "insert into claims.attempts (claim_id, attempt, blockhash, last_valid_block_height, transaction) "
        "values (1, 1, '', 1, '')",
        "insert into claims.signer_claims (claim_id, viewer_key, wallet, amount_base_units, marker, marker_seed, day) "
        "values (1, 1, '', 1, '', '', now())",
        "insert into claims.signer_days values (now(), 0)",
        "update claims.switches set frozen = false",
        "update claims.binding_rule set change_wait_s = 0",
        "update claims.audit_log set actor = ''",
        "delete from claims.audit_log",
        "update viewer_epochs set increase_base_units = 1",
        "insert into viewer_epochs values (1, 1, 1, 1, 1)",
        "delete from stopped_channels",
        "insert into log.head values (1, 9)",
        "update log.head set next_offset = 9",
        "select * from log.position",
        "select * from log.record",
        *(f"select claims.say_opt_out({key}, {record})" for key, record in FORGED),
    ],
    "payer": [
        INSERT_CLAIM,
        "update claims.claims set wallet = 'x'",
        "update claims.claims set amount_base_units = 1",
        "update claims.claims set viewer_key = 1",
        "update claims.claims set mint = 'x'",
        "delete from claims.claims",
        "insert into claims.claim_allocations values (1, 'c', 1, 0, 1, 1, 1)",
        "delete from claims.claim_allocations",
        "update claims.attempts set transaction = ''",
        "update claims.attempts set last_valid_block_height = 1",
        "delete from claims.attempts",
        "delete from claims.signer_allocations",
        "insert into claims.signer_attempts values (1, 1, '', 1, '')",
        "update claims.signer_days set base_units = 0",
        "update claims.switches set daily_cap_base_units = null",
        "select claims.bind_wallet(1, 'w', '', '', 'siws')",
        "select * from claims.sessions",
        "select * from claims.wallet_challenges",
        "delete from claims.audit_log",
        "update viewer_epochs set increase_base_units = 1",
    ],
    "signer": [
        INSERT_CLAIM,
        "update claims.claims set state = 'confirmed'",
        "insert into claims.claim_allocations values (1, 'c', 1, 0, 1, 1, 1)",
        "update claims.signer_claims set amount_base_units = 1",
        "delete from claims.signer_claims",
        "delete from claims.signer_allocations",
        "delete from claims.signer_attempts",
        "delete from claims.signer_days",
        "update claims.signer_attempts set last_valid_block_height = 0",
        "update claims.attempts set fate = 'expired'",
        "update claims.switches set frozen = false",
        "select claims.bind_wallet(1, 'w', '', '', 'siws')",
        "select * from claims.sessions",
        "update claims.audit_log set actor = ''",
        "update viewer_epochs set increase_base_units = 1",
    ],
}


@pytest.mark.parametrize(("role", "statement"), [(role, one) for role, some in DENIED.items() for one in some])
async def test_a_role_cannot_do_another_ones_part(pg_dsn: str, role: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(pg_dsn.replace("://twzrd@", f"://twzrd_{role}@", 1))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_each_role_can_do_its_own_part(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    await claims.payer().until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
