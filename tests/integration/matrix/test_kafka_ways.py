"""Whatever happens to the workers and to the broker, directly and with Faust: no seal with another root, none missing.

Both ways run at once on one broker, so its kill strikes both.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.kafka import DevKafka
from tests.integration.matrix import matrix, servers, ways

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(420)]


async def test_faults_on_kafka_change_no_seal_and_lose_none(
    kafka_broker_private: Callable[[], DevKafka], tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    kafka = kafka_broker_private()
    bootstrap, server = kafka.start(), servers.broker(kafka)
    engines = ("direct", "faust")
    chosen = [ways.on_kafka(tmp_path / engine, engine, bootstrap, f"{engine}.") for engine in engines]
    reports = await asyncio.gather(
        *(matrix.run(way, server, seed + number, tmp_path / way.name) for number, way in enumerate(chosen))
    )
    with capfd.disabled():
        for report in reports:
            print(f"\nTWZRD_SEED={os.environ['TWZRD_SEED']}: {report}", file=sys.stderr)
    for way, report in zip(chosen, reports, strict=True):
        assert not report.differences, report.differences
        assert report.kills >= ways.KILLS[way.name]
        assert report.pauses == way.pauses
        assert set(report.exit_codes) <= {0}, f"{report.way}: {report.exit_codes}"
    assert server.kills == 2
