"""`twzrd serve`: the API over the settings' database."""

import logging

import asyncpg
from prometheus_client import CollectorRegistry

from claim_api.config import ApiConfig
from claim_api.server import base_url, listen, serve
from infra import claiming, compose, databases
from infra.keys import read_operator_key
from infra.settings import Settings
from infra.stopping import stop_on_signals
from projections import read
from streams.log.port import Log, LogError

_log = logging.getLogger(__name__)


async def projection_lag(dsn: str, log: Log) -> dict[str, int]:
    """How many records of its stream each projection has still to apply; nothing where that cannot be learnt (a lost
    database is told of by the health page itself)."""
    behind: dict[str, int] = {}
    try:
        async with databases.connected(dsn) as connection:
            for one in await read.positions(connection):
                _, end = await log.span(one.stream, one.partition)
                behind[one.projection] = behind.get(one.projection, 0) + max(0, end - one.next_offset)
    except (databases.DatabaseError, LogError, asyncpg.PostgresError, OSError) as error:
        _log.warning("how far the projections are behind cannot be learnt now: %s", error)
        return {}
    return behind


async def run(settings: Settings, host: str, port: int) -> None:
    """Until asked to stop."""
    stop = stop_on_signals()
    pepper = compose.pepper_of(settings)
    operator = settings.operator_key_path
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        config = ApiConfig(
            dsn=dsn,
            host=host,
            port=port,
            pepper=pepper,
            operator_key=read_operator_key(operator) if operator.exists() else None,
            fast_cache_dir=settings.home / "cache" / "code",
        )
        async with compose.open_log(settings) as log:
            registry, listening = CollectorRegistry(), listen(config)
            address = base_url(listening)
            parts = claiming.parts_of(settings, dsn, address, claiming.opt_out_to(log), registry)
            _log.info("the API listens", extra={"fields": {"address": address, "claims": bool(parts)}})
            await serve(
                config,
                stop,
                registry=registry,
                lag_records=lambda: projection_lag(dsn, log),
                parts=parts,
                listening=listening,
            )
