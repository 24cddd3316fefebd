"""How far projections are behind, as the health page asks: as owner, as the web's own role, and of a lost log."""

from typing import Any

import pytest

from claim_api.health import LagUnknown
from infra.databases import role_dsn
from infra.serving import projection_lag
from infra.web_log import WebLog
from projections.runner import ProjectionRunner, connector
from projections.sealed import SealedProjection
from schemas.sealed import encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append
from streams.log.postgres import PostgresLog
from tests.seals import HOUR_S, T0_S, SaidLog, seal_of, viewers


async def test_the_owner_and_the_role_of_the_web_see_the_same_lag(pg_dsn: str, world: Any) -> None:
    log, web = PostgresLog(pg_dsn, partitions=2), role_dsn(pg_dsn, "twzrd_web")
    await log.open()
    try:
        for hour in range(5):
            [record] = split_seal(seal_of(viewers(1), epoch_start_s=T0_S + hour * HOUR_S))
            await log.append(EPOCH_SEALED, [Append(hour % 2, b"k", encode_record(record))])
            if hour == 1:
                runner = ProjectionRunner(log, SealedProjection(world.metrics), connector(pg_dsn), world.metrics)
                await runner.catch_up()
        assert await projection_lag(pg_dsn, log) == await projection_lag(web, WebLog(web)) == {"sealed": 3}
    finally:
        await log.close()


async def test_a_log_that_is_away_is_told_of_and_a_database_that_is_away_is_left_to_the_page(
    pg_dsn: str, world: Any
) -> None:
    await world.apply(seal_of(viewers(1)))
    lost = SaidLog()
    lost.fail.add("span")
    with pytest.raises(LagUnknown, match="span"):
        await projection_lag(pg_dsn, lost)
    assert await projection_lag("postgresql://nobody@127.0.0.1:1/none", lost) == {}
