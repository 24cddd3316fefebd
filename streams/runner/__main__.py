"""One worker as a process of its own, from arguments: `python -m streams.runner`. For tests and benches; `twzrd work`
composes the same from settings."""

import argparse
import asyncio
import contextlib
import logging
import signal
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.core.hashing import enable_fast
from streams.log.kafka import KafkaLog, KafkaSettings
from streams.log.postgres import PostgresLog
from streams.runner.backoff import pause
from streams.runner.kafka import DirectSettings, run_direct
from streams.runner.opening import open_when_there
from streams.runner.postgres import run_postgres


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m streams.runner", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--postgres", metavar="DSN")
    where.add_argument("--kafka", metavar="HOST:PORT")
    parser.add_argument("--pepper-file", type=Path, required=True)
    parser.add_argument("--policy", type=Path)
    parser.add_argument("--worker", default="worker")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--prefix", default="twzrd.")
    parser.add_argument("--lease-ttl-ms", type=int, default=5000)
    parser.add_argument("--session-timeout-ms", type=int, default=10_000)
    parser.add_argument("--static-member", action="store_true", help="keep the partitions over a quick restart")
    parser.add_argument("--fast-cache", type=Path, help="hash in SIMD lanes, the machine code kept in this folder")
    return parser.parse_args()


async def _work(given: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pepper = given.pepper_file.read_bytes()
    schedule = PolicySchedule.of(DEFAULT_POLICY)
    if given.policy:
        schedule = PolicySchedule.decode(given.policy.read_bytes(), str(given.policy))
    if given.fast_cache is not None:
        enable_fast(given.fast_cache)
    log: PostgresLog | KafkaLog
    work: Coroutine[Any, Any, None]
    if given.postgres:
        log = PostgresLog(given.postgres, partitions=given.partitions, lease_ttl_ms=given.lease_ttl_ms)
        work = run_postgres(log, schedule, pepper, worker=given.worker, stop=stop)
    else:
        log = KafkaLog(KafkaSettings(given.kafka, partitions=given.partitions, prefix=given.prefix))
        direct = DirectSettings(
            session_timeout_ms=given.session_timeout_ms, group_instance_id=given.worker if given.static_member else None
        )
        work = run_direct(log, schedule, pepper, settings=direct, stop=stop)
    try:
        if await open_when_there(log, stop.is_set, partial(pause, stop)):
            await work
        else:
            work.close()
    finally:
        await log.close()


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    given = _arguments()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_work(given))


if __name__ == "__main__":
    main()
