"""Stops an aiokafka consumer wholly, also while the broker is away.

aiokafka (0.13) cancels the fetches under way and awaits them, and lets their CancelledError out of `stop()` before it
has closed the client: whoever stopped a consumer would believe to be cancelled, and connections would stay.
"""

import asyncio
from typing import Any


async def stop_consumer(consumer: Any) -> None:
    """consumer.stop(). Raises what that raises, CancelledError only where the caller itself is cancelled."""
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping])
    if stopping.cancelled():
        await consumer._client.close()  # what stop() left out
    else:
        stopping.result()
