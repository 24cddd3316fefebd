"""`twzrd collect` as a process of its own, on a scripted chat server and a real Postgres log."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from infra import controlling
from streams.collect.live.reports import SILENT_S
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd
from tests.scripted_twitch import HOST, PATIENCE_S, Authority, ScriptedTwitch, scripted_twitch

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def twitch(authority: Authority) -> AsyncIterator[ScriptedTwitch]:
    async with scripted_twitch(authority) as server:
        yield server


@asynccontextmanager
async def process(home: Path, *arguments: object, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    one = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "infra.cli", "--home", str(home), *map(str, arguments),
        env={**clean, **environment}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield one
    finally:
        if one.returncode is None:
            one.kill()
            await one.wait()


async def ended(one: asyncio.subprocess.Process) -> tuple[str, str]:
    async with asyncio.timeout(2 * PATIENCE_S):
        out, err = await one.communicate()
    assert one.returncode == 0, err.decode()
    assert b"Traceback" not in err
    return out.decode(), err.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_joins_counts_and_leaves_cleanly_when_asked_to_stop(
    twitch: ScriptedTwitch, authority: Authority, tmp_path: Path, pg_dsn: str, number: signal.Signals
) -> None:
    arguments = ("collect", "--channels", "Ember,#pixel", "--server", f"{HOST}:{twitch.port}", "--json")
    environment = {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_CHAT_CA_FILE": str(authority.ca_file)}
    async with process(tmp_path / "home", *arguments, **environment) as one:
        session = await twitch.session(0)
        await session.until(lambda each: each.joined == {"ember", "pixel"})
        for count in range(30):
            session.chat("ember", "hello", count)
        session.say(b"PING :read to here")
        await session.until_received(b"PONG :read to here")
        one.send_signal(number)
        out, err = await ended(one)
        await session.until(lambda each: each.ended)
    assert {b"PART #ember", b"PART #pixel", b"QUIT"} <= set(session.received)
    last = json.loads(out.splitlines()[-1])
    assert last["events"] == 30 and last["lost"] == 0
    assert all(json.loads(line)["level"] == "info" for line in err.splitlines())
    assert "hello" not in out + err


async def test_a_changed_channels_file_takes_effect_without_a_restart(
    twitch: ScriptedTwitch, authority: Authority, tmp_path: Path, pg_dsn: str
) -> None:
    file = tmp_path / "channels.txt"
    file.write_text("# ours\nEmber\n\npixel  # the second\n")
    arguments = ("collect", "--channels-file", file, "--server", f"{HOST}:{twitch.port}", "--ca", authority.ca_file)
    async with process(tmp_path / "home", *arguments, TWZRD_DATABASE_URL=pg_dsn) as one:
        session = await twitch.session(0)
        await session.until(lambda each: each.joined == {"ember", "pixel"})
        file.write_text("ember\nquill\n")
        await session.until(lambda each: each.joined == {"ember", "quill"})
        one.send_signal(signal.SIGTERM)
        await ended(one)


async def test_a_certificate_of_another_name_is_said_and_nothing_is_sent(
    authority: Authority, tmp_path: Path, pg_dsn: str
) -> None:
    async with scripted_twitch(authority, "somebody.else.test") as server:
        arguments = ("collect", "--channels", "ember", "--server", f"{HOST}:{server.port}", "--ca", authority.ca_file)
        async with process(tmp_path / "home", *arguments, "--duration", "1", TWZRD_DATABASE_URL=pg_dsn) as one:
            _, err = await ended(one)
        assert "certificate is not to be trusted" in err and "--ca" in err
        assert not server.sessions


async def test_up_runs_a_collector_beside_the_rest(
    twitch: ScriptedTwitch, authority: Authority, tmp_path: Path, pg_dsn: str
) -> None:
    environment = {
        "TWZRD_DATABASE_URL": pg_dsn,
        "TWZRD_CHAT_SERVER": f"{HOST}:{twitch.port}",
        "TWZRD_CHAT_CA_FILE": str(authority.ca_file),
    }
    async with process(tmp_path / "home", "up", "--port", "0", "--collect", "ember", **environment) as one:
        session = await twitch.session(0)
        await session.until(lambda each: each.joined == {"ember"})
        one.send_signal(signal.SIGTERM)
        await ended(one)
    assert b"QUIT" in session.received


async def test_why_tells_running_stopped_dropped_and_killed_apart(
    twitch: ScriptedTwitch, authority: Authority, tmp_path: Path, pg_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one collector, under one name: what it reported last is `joined` in each of these cases."""
    log = PostgresLog(pg_dsn)
    await log.open()
    server = ("--server", f"{HOST}:{twitch.port}", "--ca", authority.ca_file)
    environment = {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_COLLECTOR_NAME": "basement"}

    @asynccontextmanager
    async def collector(channels: str) -> AsyncIterator[asyncio.subprocess.Process]:
        async with process(tmp_path / "home", "collect", "--channels", channels, *server, **environment) as one:
            yield one

    async def told(channel: str, state: str) -> dict[str, Any]:
        """What `why` says of the one collector, once it is that; and what `list` does."""
        async with asyncio.timeout(PATIENCE_S):
            while not (rows := (await controlling.why(log, channel))["collectors"]) or rows[0]["state"] != state:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [row["state"] for row in await controlling.list_channels(log) if row["channel"] == channel] == [state]
        assert len(rows) == 1 and rows[0]["collector"] == "basement"
        return dict(rows[0])

    await controlling.add_channels(log, ["ember", "pixel"])
    async with collector("ember,pixel") as one:
        assert (await told("ember", "joined"))["heard_s_ago"] < 15
        await told("pixel", "joined")
        one.send_signal(signal.SIGTERM)
        await ended(one)
    row = await told("ember", "stopped")
    assert (
        "the collector was stopped; joined before" in row["reason"] and row["since"] and row["last_state"] == "joined"
    )
    async with collector("ember") as one:
        await told("ember", "joined")
        assert "runs without this channel now" in (await told("pixel", "stopped"))["reason"]
        one.kill()
        await one.wait()
    await told("ember", "joined")  # nobody can know yet
    later_ms = time.time_ns() // 1_000_000 + int(SILENT_S * 1000) + 1_000
    monkeypatch.setattr(controlling, "_now_ms", lambda: later_ms)
    row = await told("ember", "silent")
    assert "joined before" in row["reason"] and row["heard_s_ago"] > SILENT_S
    await log.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--channels", "a", "--discover"), "exclude each other"),
        (("--channels", "a b"), "'a b' is no login"),
        (("--channels", "a", "--server", "nowhere"), "'nowhere' is not HOST:PORT"),
        (("--channels", "a", "--ca", "/nowhere/ca.pem"), "CA file /nowhere/ca.pem: No such file"),
        (("--channels-file", "/nowhere/list"), "channels file /nowhere/list: No such file"),
    ],
)
def test_what_cannot_be_is_said_with_its_mend(
    twzrd: Twzrd, pg_dsn: str, arguments: tuple[str, ...], message: str
) -> None:
    code = 2 if "exclude" in message or "is no" in message else 1
    assert message in twzrd("collect", *arguments, code=code, TWZRD_DATABASE_URL=pg_dsn).err
