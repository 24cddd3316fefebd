"""The agent over chat.events: takes batches of records as they were fetched and offers them to the shards, which guard.

Comes in: batches of all partitions this worker holds (streams.agents.consumer). Goes out: whatever the shards make of
them (streams.agents.shards, streams.runner.outbox). Nothing is acknowledged to Faust: commits are low-water marks.
"""

from typing import Any

from streams.agents.shards import Shards


def add_seal_agent(app: Any, topic: Any, shards: Shards, *, acknowledge: bool = False) -> None:
    """Register the agent with a faust.App. acknowledge: only for the fault that leaves commits to Faust."""

    @app.agent(topic, name="seal")  # type: ignore[untyped-decorator]
    async def seal(stream: Any) -> None:
        stream = stream.noack()
        async for event in stream.events():
            partition = event.message.partition
            for offset, value in event.value:
                shards.offer(partition, offset, value)
            await shards.room(partition)
            if acknowledge:
                await stream.ack(event)
