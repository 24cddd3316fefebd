"""The agent over chat.events: takes records as Faust delivers them and offers them to the shards, which guard.

Comes in: events of all partitions this worker holds. Goes out: whatever the shards make of them (streams.agents.shards,
streams.agents.outbox). Nothing is acknowledged to Faust: commits are low-water marks (streams.agents.consumer).
"""

from typing import Any, Final

from streams.agents.shards import Shards

BATCH_RECORDS: Final = 64
"""At most this many are folded before the event loop gets its turn; of 200 events each about 20 ms."""
WITHIN_S: Final = 0.05


def add_seal_agent(app: Any, topic: Any, shards: Shards, *, acknowledge: bool = False) -> None:
    """Register the agent with a faust.App. acknowledge: only for the fault that leaves commits to Faust."""

    @app.agent(topic, name="seal")  # type: ignore[untyped-decorator]
    async def seal(stream: Any) -> None:
        async for events in stream.noack_take(BATCH_RECORDS, within=WITHIN_S):
            for event in events:
                message = event.message
                shards.offer(message.partition, message.offset, message.value)
            for partition in {event.message.partition for event in events}:
                await shards.room(partition)
            if acknowledge:
                for event in events:
                    await stream.ack(event)
