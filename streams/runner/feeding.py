"""Feeds a record to a shard without holding up the worker's heartbeat. Used by the loops that share one event loop with
it: streams.runner.leased and streams.runner.kafka (Faust's heartbeat has a thread of its own).

An end record closes every open epoch of its channel at once, and a year's file is 8,760 of them: seconds of sealing,
longer than a lease or a session lives. The partition would go to another worker, which does the same, and so on for
ever.
"""

import asyncio
from typing import Final

from streams.core.outputs import Output, ResealRequest
from streams.core.shard import Shard

_END: Final = b"\xa3end"
"""An envelope's second field as msgpack writes it, behind the array's header and the version."""


async def feed(shard: Shard, offset: int, value: bytes) -> list[Output | ResealRequest]:
    """shard.feed(offset, value); an end record's in a thread. Until it is done nobody else may look at the shard."""
    if value[2:6] != _END:
        return shard.feed(offset, value)
    return await asyncio.to_thread(shard.feed, offset, value)
