"""Alarms: what an operator must look at, as rows that outlive restarts and rebuilds. Each subject is raised once."""

from collections.abc import Mapping
from typing import Any

import orjson

from projections.sql import sql


async def raise_alarm(connection: Any, kind: str, subject: str, detail: Mapping[str, object]) -> None:
    """Note it in the caller's transaction; the same (kind, subject) again changes nothing."""
    await connection.execute(sql("raise_alarm"), kind, subject, orjson.dumps(detail).decode())
