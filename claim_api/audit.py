"""The audit log of the claim side: each change of state is noted in the transaction that makes it.

In: who did what to whom. Out: one row of claims.audit_log, which no role of ours can change afterwards.
"""

from pathlib import Path
from typing import Any, Final

import orjson

from streams.log.named_sql import named

_sql: Final = named(Path(__file__).with_suffix(".sql"))


async def audit(connection: Any, actor: str, action: str, subject: str, **detail: object) -> None:
    """Notes `action` (verb and noun, as in "sign in") by `actor` on `subject` (an identity, a claim, a wallet).
    connection: inside the transaction of the change. detail: what JSON can hold, never a secret."""
    await connection.execute(_sql("audit"), actor, action, subject, orjson.dumps(detail).decode())
