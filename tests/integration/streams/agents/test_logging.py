"""What a Faust worker logs is what every other process logs: one JSON object a line, known errors in one of them."""

import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from streams.log.kafka import KafkaLog
from tests.integration.streams.agents.conftest import PARTITIONS, PROJECT

pytestmark = pytest.mark.kafka


def test_a_worker_whose_log_has_other_partitions_says_so_in_one_line(log: KafkaLog, tmp_path: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    told = {
        "TWZRD_HOME": str(tmp_path),
        "TWZRD_LOG": "kafka",
        "TWZRD_ENGINE": "faust",
        "TWZRD_KAFKA_BOOTSTRAP": log.settings.servers,
        "TWZRD_TOPIC_PREFIX": log.settings.prefix,
        "TWZRD_PARTITIONS": str(PARTITIONS + 1),
    }
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli", "work", "--web-port", "0"],
        env={**inherited, "PYTHONPATH": str(PROJECT), **told},
        capture_output=True,
        timeout=90,
    )
    assert done.returncode == 1
    lines = [orjson.loads(line) for line in done.stderr.splitlines()]
    [error] = [line for line in lines if line["level"] == "error"]
    assert f"has {PARTITIONS} partitions, the settings say {PARTITIONS + 1}" in error["message"]
    assert b"Traceback" not in done.stderr
