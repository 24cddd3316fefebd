"""The three ways from a log to seals, as settings: the runner on Postgres, the direct engine and Faust on Kafka."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.port import Log
from streams.log.postgres import PostgresLog
from tests.integration.matrix.rules import PARTITIONS, write_pepper, write_policy
from tests.integration.matrix.workers import Entry

KILLS: Final = {"postgres": 8, "direct": 6, "faust": 6}
"""Workers killed one by one; a further fault kills all at once. At least 20 together."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way and how hard it is hit."""

    name: str
    environment: dict[str, str]
    kills: int
    pauses: int
    pause_s: float
    """Beyond the session (10 s) or lease (5 s) that `twzrd work` asks for."""
    waits_s: tuple[float, float]
    exactly_once: bool = False
    """Position and output in one transaction: no seal is even said twice."""
    entry: Entry = field(default_factory=Entry)


def on_postgres(folder: Path, dsn: str) -> Way:
    """The runner on Postgres."""
    chosen = {"TWZRD_LOG": "postgres", "TWZRD_DATABASE_URL": dsn}
    return Way("postgres", {**_common(folder), **chosen}, KILLS["postgres"], 2, 7.0, (0.5, 3.0), exactly_once=True)


def on_kafka(folder: Path, engine: str, bootstrap: str, prefix: str, entry: Entry | None = None) -> Way:
    """engine: "faust" or "direct"."""
    chosen = {"TWZRD_LOG": "kafka", "TWZRD_ENGINE": engine, "TWZRD_KAFKA_BOOTSTRAP": bootstrap}
    environment = {**_common(folder), **chosen, "TWZRD_TOPIC_PREFIX": prefix}
    return Way(engine, environment, KILLS[engine], 1, 12.0, (1.0, 6.0), entry=entry or Entry())


def _common(folder: Path) -> dict[str, str]:
    folder.mkdir(parents=True, exist_ok=True)
    return {
        "TWZRD_PARTITIONS": str(PARTITIONS),
        "TWZRD_PEPPER_FILE": str(write_pepper(folder)),
        "TWZRD_POLICY_FILE": str(write_policy(folder)),
        "TWZRD_LOG_FORMAT": "text",
        "TWZRD_LOG_LEVEL": "info",
    }


def open_log(way: Way) -> Log:
    """The way's log as the matrix itself uses it; not yet open."""
    told = way.environment
    if told["TWZRD_LOG"] == "postgres":
        return PostgresLog(told["TWZRD_DATABASE_URL"], partitions=PARTITIONS)
    return KafkaLog(
        KafkaSettings(told["TWZRD_KAFKA_BOOTSTRAP"], partitions=PARTITIONS, prefix=told["TWZRD_TOPIC_PREFIX"])
    )
