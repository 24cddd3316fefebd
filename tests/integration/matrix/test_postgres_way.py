"""Whatever happens to the workers and to Postgres: no seal with another root, none missing, none even said twice."""

import os
import sys
from pathlib import Path

import pytest

from tests.integration.matrix import matrix, servers, ways

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(420)]


async def test_faults_on_postgres_change_no_seal_and_lose_none(
    tmp_path: Path, seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    postgres = servers.private_postgres(tmp_path / "pg")
    dsn = postgres.start()
    try:
        way = ways.on_postgres(tmp_path / "postgres", dsn)
        report = await matrix.run(way, servers.postmaster(postgres), seed, tmp_path / "postgres")
    finally:
        postgres.stop()
    with capfd.disabled():
        print(f"\nTWZRD_SEED={os.environ['TWZRD_SEED']}: {report}", file=sys.stderr)
    assert not report.differences, report.differences
    assert report.said_again == 0
    assert report.kills >= ways.KILLS[way.name]
    assert report.pauses == way.pauses
    assert report.server_kills == 1
    assert set(report.exit_codes) <= {0}


def test_the_three_ways_kill_at_least_twenty_workers() -> None:
    assert sum(ways.KILLS.values()) >= 20
