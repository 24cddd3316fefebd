"""`twzrd optout add` while two collector processes hear the viewer: both stop taking them within 5 s."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from streams.collect.twitch_sim import Pace, SimOptions, TwitchSim
from streams.log.postgres import PostgresLog
from tests.every_byte import PARTITIONS
from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_collect import process
from tests.integration.cli.test_optout_leaves_no_trace import (
    CHANNEL,
    CONTROL,
    EFFECTIVE_S,
    ON_THE_WAY,
    Silent,
    message,
    on_the_log,
)
from tests.scripted_twitch import PATIENCE_S

pytestmark = pytest.mark.postgres

COLLECTORS = ("first", "second")


async def test_an_opt_out_is_effective_in_every_collector_within_5_s(twzrd: Twzrd, tmp_path: Path, pg_dsn: str) -> None:
    environment = {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_PARTITIONS": str(PARTITIONS)}
    async with AsyncExitStack() as around:
        options = SimOptions(pace=Pace(0), wait_joins=len(COLLECTORS))
        twitch = await around.enter_async_context(TwitchSim(Silent(), options))
        (tmp_path / "ca.pem").write_bytes(twitch.ca_pem)
        where = ("--server", f"{twitch.address[0]}:{twitch.address[1]}", "--ca", tmp_path / "ca.pem")
        for name in COLLECTORS:
            arguments = ("collect", "--channels", CHANNEL, *where, "--json")
            own = {**environment, "TWZRD_COLLECTOR_NAME": name}
            await around.enter_async_context(process(tmp_path / name, *arguments, **own))
        async with asyncio.timeout(PATIENCE_S):
            await twitch.finished()  # which it does once both have joined
        sessions = dict(zip(COLLECTORS, twitch.sessions, strict=True))
        log = PostgresLog(pg_dsn, partitions=PARTITIONS)
        await log.open()
        around.push_async_callback(log.close)

        async def taken(when: str) -> set[str]:
            """Which collectors take what the viewer says now; what is said to one is not said to the other."""
            for name, session in sessions.items():
                session.outlet.put(message(ON_THE_WAY, f"{when} {name}") + message(CONTROL, f"{when} {name}"))
            held = b""
            for name in COLLECTORS:
                held = await on_the_log(log, CONTROL.id_of(f"{when} {name}"))
            return {name for name in COLLECTORS if ON_THE_WAY.id_of(f"{when} {name}").bytes in held}

        assert await taken("before") == set(COLLECTORS)
        await asyncio.to_thread(twzrd, "optout", "add", ON_THE_WAY.login, **environment)
        said_s, number = time.monotonic(), 0
        while still := await taken(f"after {number}"):
            assert time.monotonic() - said_s < EFFECTIVE_S, f"still taken by {still}"
            number += 1
        assert await taken("at last") == set()
