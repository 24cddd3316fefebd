"""Stopping a consumer never makes its caller believe to be cancelled, and never leaves its client open."""

import asyncio
from types import SimpleNamespace

import pytest

from streams.log.kafka.stopping import stop_consumer


class Consumer:
    """As aiokafka's: a fetch that waits for a lost broker is cancelled by stop(), which lets the error out."""

    def __init__(self) -> None:
        self.closed = False
        self._client = SimpleNamespace(close=self._close)

    async def _close(self) -> None:
        self.closed = True

    async def stop(self) -> None:
        fetch = asyncio.create_task(asyncio.sleep(60))
        fetch.cancel()
        await fetch
        await self._close()


async def test_a_fetch_that_stop_cancelled_does_not_cancel_the_caller() -> None:
    consumer = Consumer()
    await stop_consumer(consumer)
    assert consumer.closed


async def test_other_errors_are_raised() -> None:
    class Broken(Consumer):
        async def stop(self) -> None:
            raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await stop_consumer(Broken())


async def test_a_cancelled_caller_is_cancelled() -> None:
    class Slow(Consumer):
        async def stop(self) -> None:
            await asyncio.sleep(60)

    stopping = asyncio.create_task(stop_consumer(Slow()))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
