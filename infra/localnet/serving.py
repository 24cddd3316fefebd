"""`twzrd localnet`: the local cluster as a process of its own, until it is told to stop. Composition only."""

import asyncio
from collections.abc import Callable
from typing import Any

from infra.localnet.options import LocalnetOptions
from infra.localnet.server import Localnet
from infra.stopping import stop_on_signals, until_one_ends


async def serve(options: LocalnetOptions, tell: Callable[[dict[str, Any]], None]) -> None:
    """Serve until a signal. tell: first where it is, last what it came to. Raises LocalnetError."""
    stop = stop_on_signals()
    async with Localnet(options) as localnet:
        chain = localnet.chain
        tell(
            {
                "rpc": localnet.url,
                "pubsub": localnet.ws_url,
                "folder": str(options.folder),
                "slot": chain.slot,
                "replayed": chain.replayed,
                "cut_bytes": chain.journal.cut_bytes,
            }
        )

        async def stopped() -> None:
            await stop.wait()

        await until_one_ends([asyncio.create_task(stopped()), asyncio.create_task(localnet.ended())])
    tell({"slot": chain.slot, **localnet.counters.shown()})
