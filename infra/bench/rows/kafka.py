"""A real Kafka broker to seals by one worker, all laws, durable: Faust, the direct engine, and naive Faust beside."""

import statistics
from pathlib import Path
from typing import Final

from infra.bench import inputs, servers
from infra.bench.bench import Bench
from infra.bench.racing import PYTHON, ROOT, ContenderFailed, Ran, median, module, run
from infra.bench.table import Line, figure
from infra.kafka import DevKafka
from infra.settings import default_cache_dir

NAME: Final = "kafka"
WORK: Final = "Kafka to seals by one worker, durable"
TARGET: Final = "Faust 300 k events/s and 100 x naive; direct 1 M"
EVENTS: Final = {"direct": 3_000_000, "faust": 1_000_000}
NAIVE_EVENTS: Final = 10_000
PARTITIONS: Final = 4
POLL_EVENTS: Final = 200_000
"""What a worker may have folded, unseen, before its first seal reached the broker: one poll of 1,000 records. It is
left out of the count, so the rate is rather too low than too high."""


def measure(bench: Bench) -> list[Line]:
    """The topic is full before the worker starts; the clock is the broker's, from the first seal to the last."""
    for engine in EVENTS:
        inputs.live_log(bench, EVENTS[engine])
    broker = DevKafka(bench.scratch / "kafka", cache_dir=default_cache_dir())
    try:
        address = broker.start()
        rates: dict[str, list[float]] = {"direct": [], "faust": [], "naive": []}
        for number in range(bench.rounds):
            for engine in ("direct", "faust"):
                rates[engine].append(_rate(_once(bench, address, engine, number)))
                bench.say(f"  {engine}: {figure(rates[engine][-1], 'events/s')}")
            naive: list[str | Path] = [PYTHON, ROOT / "infra/bench/peers/naive_faust.py", "--servers", address]
            rates["naive"].append(run([*naive, "--events", str(NAIVE_EVENTS)], timeout_s=120).value("rate"))
            bench.say(f"  naive: {figure(rates['naive'][-1], 'events/s')}")
    finally:
        broker.stop()
    naive_rate = median(rates["naive"])
    lines = []
    for engine, label, least in (("faust", "Faust", 3e5), ("direct", "direct", 1e6)):
        rate = statistics.median(rates[engine])
        spread = f"{figure(min(rates[engine]), '').strip()} .. {figure(max(rates[engine]), '').strip()}"
        also = "" if engine == "direct" else " and 100 x naive"
        lines.append(
            Line(
                f"{WORK}: {label}",
                figure(rate, "events/s"),
                figure(least, "events/s") + also,
                rate >= least and (engine == "direct" or rate >= 100 * naive_rate),
                peer=figure(naive_rate, "events/s") + " (naive Faust)",
                ratio=f"{rate / naive_rate:.0f}",
                spread=spread,
            )
        )
    return lines


def _rate(ran: Ran) -> float:
    return (ran.value("sealed_after_first") - POLL_EVENTS) / ran.value("span_s")


def _once(bench: Bench, address: str, engine: str, number: int) -> Ran:
    pepper = bench.scratch / "pepper.raw"
    pepper.write_bytes(b"\x11" * 32)
    prefix = f"{engine}{number}."
    records = inputs.live_log(bench, EVENTS[engine])
    feed: list[str | Path] = ["--kafka", address, "--prefix", prefix, "--partitions", str(PARTITIONS), records]
    run(module("infra.bench.work.feed", *feed, "--append-only"))
    environ = {
        "TWZRD_LOG": "kafka",
        "TWZRD_ENGINE": engine,
        "TWZRD_KAFKA_BOOTSTRAP": address,
        "TWZRD_TOPIC_PREFIX": prefix,
        "TWZRD_PARTITIONS": str(PARTITIONS),
        "TWZRD_PEPPER_FILE": str(bench.scratch / "pepper"),
    }
    (bench.scratch / "pepper").write_text("11" * 32)
    (bench.scratch / "pepper").chmod(0o600)
    home = bench.scratch / f"home-{engine}{number}"
    with servers.process(bench, ["-m", "infra.cli", "--home", home, "work", "--web-port", "0"], environ):
        ran = run(module("infra.bench.work.feed", *feed, "--watch-only"), timeout_s=240)
    if ran.value("sealed_events") != EVENTS[engine]:
        raise ContenderFailed(f"{engine}: not every event was sealed once: {ran.output}")
    return ran
