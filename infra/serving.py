"""`twzrd serve`: the API over the settings' database, as its owner or as role twzrd_web alone."""

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import asyncpg
from prometheus_client import CollectorRegistry

from claim_api.config import ApiConfig
from claim_api.health import LagUnknown
from claim_api.server import base_url, listen, serve
from infra import claiming, compose, databases
from infra.keys import read_operator_key
from infra.settings import Settings
from infra.stopping import stop_on_signals
from infra.web_log import WebLog
from projections import read
from schemas import control
from streams.collect.live.control import say
from streams.log.port import LogError

_log = logging.getLogger(__name__)


class Spans(Protocol):
    """How long streams are."""

    async def span(self, stream: str, partition: int) -> tuple[int, int]:
        """First and next offset of a partition. Raises LogError."""


@dataclass(frozen=True, slots=True)
class Behind:
    """What the API stands on. dsn: of the read models; say: brings an opt-out to the control stream."""

    dsn: str
    spans: Spans
    say: Callable[[control.OptOut], Awaitable[None]]


async def projection_lag(dsn: str, spans: Spans) -> dict[str, int]:
    """How many records of its stream each projection has still to apply; nothing where the database is away (the health
    page finds that out by itself). Raises LagUnknown where the log is."""
    behind: dict[str, int] = {}
    try:
        async with databases.connected(dsn) as connection:
            for one in await read.positions(connection):
                _, end = await spans.span(one.stream, one.partition)
                behind[one.projection] = behind.get(one.projection, 0) + max(0, end - one.next_offset)
    except LogError as error:
        raise LagUnknown(str(error)) from error
    except (databases.DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        _log.warning("how far the projections are behind cannot be learnt now: %s", error)
        return {}
    return behind


async def run(settings: Settings, host: str, port: int) -> None:
    """Until asked to stop."""
    stop = stop_on_signals()
    pepper = compose.pepper_of(settings)
    operator = settings.operator_key_path
    async with _behind(settings) as behind:
        config = ApiConfig(
            dsn=behind.dsn,
            host=host,
            port=port,
            pepper=pepper,
            operator_key=read_operator_key(operator) if operator.exists() else None,
            fast_cache_dir=settings.home / "cache" / "code",
        )
        registry, listening = CollectorRegistry(), listen(config)
        address = base_url(listening)
        parts = claiming.parts_of(settings, behind.dsn, address, claiming.opt_out_by(behind.say), registry)
        _log.info("the API listens", extra={"fields": {"address": address, "claims": bool(parts)}})
        await serve(
            config,
            stop,
            registry=registry,
            lag_records=lambda: projection_lag(behind.dsn, behind.spans),
            parts=parts,
            listening=listening,
        )


@contextlib.asynccontextmanager
async def _behind(settings: Settings) -> AsyncIterator[Behind]:
    """As role twzrd_web alone where TWZRD_WEB_DATABASE_URL names it: then this process migrates nothing, and on the
    Postgres log it can say opt-outs only. Else as the database's owner."""
    async with contextlib.AsyncExitStack() as stack:
        if dsn := settings.web_database_url:
            web = WebLog(dsn)
            await web.check_role()
            if settings.log == "postgres":
                yield Behind(dsn, web, web.say)
                return
        else:
            dsn = stack.enter_context(compose.database(settings))
            await databases.migrate(dsn)
        log = await stack.enter_async_context(compose.open_log(settings))
        yield Behind(dsn, log, partial(say, log))
