"""The peer of the Kafka row: Faust as its tutorial has it, one JSON event per record and one table write per event.

    python infra/bench/peers/naive_faust.py --servers HOST:PORT [--events 20000]

Appends that many generated events to a topic of its own, then runs one worker whose agent counts them per channel,
hour and viewer in a table. Prints one line: RESULT naive_faust events=N seconds=S rate=R (first to last event seen).
It keeps none of the laws: no dedupe, no order, no sealing; after a crash its counts are wrong.
"""

import argparse
import asyncio
import json
import os
import random
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

PARTITIONS = 4
START_MS = 1_700_000_000_000


class ChatEvent(faust.Record, serializer="json"):
    """One event as the tutorial would write it."""

    ts: int
    channel: str
    user: str


async def generate(servers: str, topic: str, events: int) -> None:
    """Make the topic and fill it: 50 channels, 24 hours, seeded."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"}
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs=config)])
    await admin.close()
    rng = random.Random(1)
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=5, max_batch_size=1 << 20)
    await producer.start()
    sent = []
    for number in range(events):
        channel = f"channel{rng.randrange(50)}"
        user = f"user{min(int(rng.paretovariate(0.7)), 20_000)}"
        ts = START_MS + number * 86_400_000 // events
        value = json.dumps({"ts": ts, "channel": channel, "user": user}).encode()
        sent.append(await producer.send(topic, value, key=channel.encode()))
    await asyncio.gather(*sent)
    await producer.stop()


def create_app(servers: str, topic: str, events: int, data_dir: str) -> Any:
    """The tutorial's worker; it stops when it has seen every event."""
    app = faust.App(
        topic + "-app",
        broker=[f"kafka://{server}" for server in servers.split(",")],
        topic_partitions=PARTITIONS,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        topic_disable_leader=True,
        stream_wait_empty=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        store="memory://",
        datadir=data_dir,
    )
    source = app.topic(topic, key_type=bytes, value_type=ChatEvent, key_serializer="raw")
    counts = app.Table("counts", default=int, partitions=PARTITIONS)
    seen = [0, 0.0]

    @app.agent(source)
    async def count(stream: Any) -> None:
        async for event in stream:
            counts[f"{event.channel}|{event.ts // 3_600_000}|{event.user}"] += 1
            seen[0] += 1
            if seen[0] == 1:
                seen[1] = time.perf_counter()
            if seen[0] == events:
                seconds = time.perf_counter() - seen[1]
                print(f"RESULT naive_faust events={events} seconds={seconds:.3f} rate={(events - 1) / seconds:.0f}")
                sys.stdout.flush()
                os._exit(0)  # SystemExit in an agent only crashes the agent, and the worker then waits for ever

    app.finalize()
    return app


def main() -> None:
    """Generate, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", required=True)
    parser.add_argument("--events", type=int, default=20_000)
    given = parser.parse_args()
    topic = f"naive-{secrets.token_hex(4)}"
    asyncio.run(generate(given.servers, topic, given.events))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(given.servers, topic, given.events, str(Path(folder) / "faust"))
        worker = faust.Worker(app, loop=loop, loglevel="ERROR", quiet=True, redirect_stdouts=False)
        worker.execute_from_commandline()


if __name__ == "__main__":
    main()
