"""`twzrd discover`, `close`, `raw` as processes, on the embedded Postgres."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from infra import closing
from schemas import control
from schemas import envelope as envelopes
from schemas import text as texts
from streams.collect.live.control import say
from streams.log.port import CHAT_EVENTS, CHAT_TEXT, CONTROL, Append
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd
from tests.scripted_helix import CLIENT_ID, CLIENT_SECRET, Live, ScriptedHelix, served
from tests.seals import T0_S, live_envelope

pytestmark = pytest.mark.postgres

PATIENCE_S = 60.0


@pytest.fixture
def environment(pg_dsn: str) -> dict[str, str]:
    return {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_PARTITIONS": "2", "TWZRD_LOG_LEVEL": "debug"}


@contextmanager
def running(tmp_path: Path, environment: dict[str, str], *arguments: str) -> Iterator[Path]:
    """A `twzrd` that goes on beside the test; asked to stop at the end. Gives the file of what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    command = [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), *arguments]
    said = tmp_path / "said.log"
    with said.open("wb") as log:
        process = subprocess.Popen(command, env={**clean, **environment}, stdout=log, stderr=log)
        try:
            yield said
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, said.read_text()
        finally:
            process.kill()
            process.wait()


async def opened(dsn: str) -> PostgresLog:
    log = PostgresLog(dsn, partitions=2)
    await log.open()
    return log


async def test_discover_says_on_the_log_who_is_live_and_shows_no_credentials(
    tmp_path: Path, pg_dsn: str, environment: dict[str, str]
) -> None:
    log = await opened(pg_dsn)
    # Wanted by the operator: its snapshot comes with the first round.
    await say(log, control.Wanted(1, "forsen", None, "operator", "ann", T0_S * 1000, ""))
    credentials = tmp_path / "twitch"
    credentials.write_text(f"client_id={CLIENT_ID.replace('-', '')}\nclient_secret={CLIENT_SECRET.replace('-', '')}\n")
    credentials.chmod(0o600)
    async with served(ScriptedHelix(time.time, streams=[Live("forsen", 5000, "22484632")])) as server:
        told = {
            **environment,
            "TWZRD_TWITCH_CLIENT_ID": CLIENT_ID,
            "TWZRD_TWITCH_CLIENT_SECRET": CLIENT_SECRET,
            "TWZRD_TWITCH_ID_URL": server.id_url,
            "TWZRD_TWITCH_API_URL": server.api_url,
        }
        server.faults.extend([401, 500])
        with running(tmp_path, told, "discover") as said:
            async with asyncio.timeout(PATIENCE_S):
                found = await log.read(CONTROL, 0, 1, wait_ms=int(PATIENCE_S * 1000))
            snapshot = control.decode(found[0].value)
        assert isinstance(snapshot, control.Snapshot)
        assert (snapshot.channel, snapshot.viewers) == ("twitch:id:22484632", 5000)
        refused = {**told, "TWZRD_TWITCH_CLIENT_SECRET": "wr0ngsecret"}
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), "discover",
            env={**os.environ, **refused}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await done.communicate()
    assert done.returncode == 1 and b"compare both with dev.twitch.tv/console" in output
    text = said.read_text() + output.decode()
    for secret in (CLIENT_SECRET, "wr0ngsecret", "t0ps3cret"):
        assert secret not in text
    await log.close()


async def test_close_lets_a_left_channels_hour_close(tmp_path: Path, pg_dsn: str, environment: dict[str, str]) -> None:
    log = await opened(pg_dsn)
    value = envelopes.encode("tick", "twitch:id:1", "chan", "c1", 0, (T0_S * 1000, T0_S * 1000 + 1000, "live"))
    await log.append(CHAT_EVENTS, [Append(0, b"twitch:id:1", value)])
    connection = await asyncpg.connect(pg_dsn)
    # As if the log had taken it in twenty minutes ago, and another record (of a file) now.
    [segment] = await connection.fetch("select id from log.stream where name = 'chat.events'")
    await connection.execute(f"update log.record_{segment['id']}_0 set time_ms = time_ms - 1200000")
    await connection.close()
    now = envelopes.encode("events", "twitch:id:2", "file", "f", 0)
    await log.append(CHAT_EVENTS, [Append(0, b"twitch:id:2", now)])
    with running(tmp_path, environment, "close"):
        async with asyncio.timeout(PATIENCE_S):
            [found, *_] = await log.read(CHAT_EVENTS, 0, 2, wait_ms=int(PATIENCE_S * 1000))
    tick = envelopes.decode(found.value)
    assert (tick.type, tick.channel, tick.login) == ("tick", "twitch:id:1", "chan")
    assert tick.observed is not None and tick.observed[0] == T0_S * 1000 + 1000 and tick.observed[2] == "absent"
    await log.close()


async def test_the_closers_housekeeping_compacts_control_and_lets_old_text_go(pg_dsn: str) -> None:
    log = await opened(pg_dsn)
    for note in ("one", "two"):
        await say(log, control.Wanted(1, "forsen", None, "operator", "ann", T0_S * 1000, note))
    line = texts.Line(bytes(16), T0_S * 1000, "twitch:id:1", "ann", "old")
    for _ in range(5):
        await log.append(CHAT_TEXT, [Append(None, b"k", texts.encode("twitch:id:1", "chan", [line]))])
    connection = await asyncpg.connect(pg_dsn)
    ids = {row["name"]: row["id"] for row in await connection.fetch("select name, id from log.stream")}
    day_ms = 86_400_000
    await connection.execute(f"update log.record_{ids[CONTROL]}_0 set time_ms = time_ms - {2 * day_ms}")
    await connection.execute(
        f'update log.record_{ids[CHAT_TEXT]}_0 set time_ms = time_ms - {31 * day_ms} where "offset" < 3'
    )
    await connection.close()
    await closing.tidy(log, 30)
    assert [record.offset for record in await log.read(CONTROL, 0, 0)] == [1]
    assert await log.span(CHAT_TEXT, 0) == (3, 5)
    await log.close()


def test_raw_writes_table_and_files_and_text_only_when_told(
    twzrd: Twzrd, tmp_path: Path, pg_dsn: str, environment: dict[str, str]
) -> None:
    async def fill() -> None:
        log = await opened(pg_dsn)
        for seq, said in enumerate(([(1, "ann"), (31337, "secretive")], [(2, "bob")])):
            await log.append(CHAT_EVENTS, [Append(0, b"k", live_envelope(said, seq=seq))])
        line = texts.Line(bytes(16), T0_S * 1000, "twitch:id:1", "ann", "the text itself")
        hidden = texts.Line(bytes(16), T0_S * 1000, "twitch:id:31337", "secretive", "hidden words")
        await log.append(CHAT_TEXT, [Append(None, b"k", texts.encode("twitch:id:1", "chan", [line, hidden]))])
        await log.close()

    def files() -> dict[str, str]:
        found = (tmp_path / "home" / "raw").rglob("*.ndjson")
        return {path.parent.name: path.read_text() for path in found}

    environment["TWZRD_RAW_DAYS"] = "3650"  # the events are of 2025
    twzrd("optout", "add", "twitch:id:31337", **environment)
    asyncio.run(fill())
    logged = twzrd("raw", "--once", **environment).err
    assert set(files()) == {"events"}
    assert [json.loads(line)["login"] for line in files()["events"].splitlines()] == ["ann", "bob"]
    environment["TWZRD_KEEP_TEXT"] = "on"
    logged += twzrd("raw", "--once", **environment).err
    assert "the text itself" in files()["messages"]

    async def tables() -> list[Any]:
        connection = await asyncpg.connect(pg_dsn)
        rows: list[Any] = await connection.fetch("select * from twitch_events_raw")
        rows += await connection.fetch("select * from twitch_messages_raw")
        await connection.close()
        return rows

    rows = asyncio.run(tables())
    assert len(rows) == 3
    everything = f"{rows} {files()} {logged}"
    assert not re.search("31337|secretive|hidden words", everything)
    assert "the text itself" not in logged
