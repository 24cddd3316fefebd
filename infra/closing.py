"""`twzrd close`: the closer, and once an hour what keeps the log's small streams small."""

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry

from infra import compose, counters
from infra.settings import Settings
from infra.stopping import stop_on_signals
from schemas.streams import CHAT_TEXT, CONTROL
from streams.collect.live.closer import Closer, CloserRules
from streams.log.port import Log, LogError

logger: Final = logging.getLogger(__name__)

TIDY_EVERY_S: Final = 3_600.0
DAY_MS: Final = 86_400_000


async def run(settings: Settings, *, metrics_port: int | None = None) -> None:
    """Until asked to stop."""
    stop = stop_on_signals()
    schedule = compose.schedule_of(settings.policy_file)
    policy = schedule.at(time.time_ns() // 1_000_000_000 // schedule.epoch_length_s * schedule.epoch_length_s)
    silent_ms = settings.close_after_min * 60_000
    rules = CloserRules(
        epoch_length_ms=policy.epoch_length_s * 1000,
        grace_ms=policy.grace_s * 1000,
        silent_ms=silent_ms,
        end_after_ms=max(silent_ms, CloserRules().end_after_ms),
        hole_ms=max(silent_ms, CloserRules().hole_ms),
    )
    registry = CollectorRegistry()
    async with compose.open_log(settings) as log:
        closer = Closer(log, f"{compose.worker_name()}/{secrets.token_hex(4)}", rules)
        counters.show(registry, "closer", closer.counters)
        with compose.metrics_served(registry, metrics_port):
            async with asyncio.TaskGroup() as group:
                group.create_task(closer.run(stop))
                group.create_task(_tidy_now_and_then(log, settings.raw_days, stop))


async def _tidy_now_and_then(log: Log, text_days: int, stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await tidy(log, text_days)
        except LogError as error:
            logger.warning("the log could not be tidied, again in an hour: %s", error)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TIDY_EVERY_S)


async def tidy(log: Log, text_days: int) -> None:
    """Compact control and let old text go. Kafka does both by itself (streams.log.kafka.topics)."""
    from streams.log.postgres import PostgresLog

    if not isinstance(log, PostgresLog):
        return
    if gone := await log.compact(CONTROL):
        logger.info("%d replaced control records were deleted", gone)
    before_ms = time.time_ns() // 1_000_000 - text_days * DAY_MS
    await log.trim(CHAT_TEXT, 0, await first_since(log, CHAT_TEXT, before_ms))


async def first_since(log: Log, stream: str, time_ms: int) -> int:
    """The offset of the first record of partition 0 that the log took in at time_ms or later; the end without one."""
    low, high = await log.span(stream, 0)
    while low < high:
        middle = (low + high) // 2
        found = await log.read(stream, 0, middle, max_records=1)
        if not found or found[0].time_ms >= time_ms:
            high = middle
        else:
            low = found[0].offset + 1
    return low
