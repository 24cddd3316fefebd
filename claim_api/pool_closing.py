"""Ends a pool of connections: those that are just being given back are waited for, a moment.

A request or a warm-up that is cancelled gives its connection back in a task of the pool's own. Cut there, that task
ends with an error that nobody asks for, and a clean stop looks like a fault in the log.
"""

import asyncio
import contextlib
from typing import Any, Final

from claim_api.database_faults import FAULTS

GRACE_S: Final = 0.5
"""Longer than giving back takes; what a question still needs is not worth waiting for."""


async def close_pool(pool: Any) -> None:
    """Done at the latest after GRACE_S; the server rolls back what was under way."""
    with contextlib.suppress(*FAULTS):
        async with asyncio.timeout(GRACE_S):
            await pool.close()
    pool.terminate()
