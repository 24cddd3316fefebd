"""`twzrd serve` with `twzrd twitch-login` beside it, as a newcomer has them: signing in, and opting out for good."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from infra.databases import role_dsn
from schemas import control
from streams.log.port import CONTROL, Append
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd

SECRETS = {"TWZRD_TWITCH_CLIENT_ID": "abc", "TWZRD_TWITCH_CLIENT_SECRET": "def"}


@contextlib.asynccontextmanager
async def running(home: Path, *arguments: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """One command; ended by SIGTERM, which it must obey."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli",
        "--home",
        str(home),
        *arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**clean, **environment},
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0, errors.decode()
        assert b"Traceback" not in errors, errors.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def listens(process: asyncio.subprocess.Process) -> tuple[str, bool]:
    """Where `serve` says that it listens, and whether its claim side is on."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while line := await process.stderr.readline():
            said = json.loads(line)
            if "address" in said:
                return said["address"], said["claims"]
    raise AssertionError("it never listened")


@contextlib.asynccontextmanager
async def opened(log: PostgresLog) -> AsyncIterator[PostgresLog]:
    await log.open()
    try:
        yield log
    finally:
        await log.close()


async def signs_in_and_opts_out(home: Path, **environment: str) -> None:
    """What a newcomer does on a `twzrd serve` with a `twzrd twitch-login` beside it."""
    async with running(home, "twitch-login", "--port", "0", "--user", "5:ann", "--json", **SECRETS) as login:
        assert login.stdout is not None
        facts = json.loads(await login.stdout.readline())
        assert facts.pop("TWZRD_TWITCH_CLIENT_ID") == "abc"
        log = {"TWZRD_LOG_FORMAT": "json"}
        async with running(home, "serve", "--port", "0", **facts, **SECRETS, **log, **environment) as serving:
            base, claims = await listens(serving)
            assert claims
            jar = aiohttp.CookieJar(unsafe=True)
            async with aiohttp.ClientSession(cookie_jar=jar) as browser:
                # Redirects are followed, as a browser does.
                async with browser.get(f"{base}/auth/twitch/login?return=/v1/me") as page:
                    text, at = await page.text(), page.url
                    assert page.status == 200 and "simulating Twitch" in text and 'value="ann"' in text
                    assert f"form-action 'self' {base};" in page.headers["content-security-policy"]
                asked = {name: values[0] for name, values in parse_qs(urlsplit(str(at)).query).items()}
                async with browser.post(at.with_query(None), data={**asked, "user": "ann"}) as done:
                    assert str(done.url) == f"{base}/v1/me"
                    me = await done.json()
                assert (me["viewer"], me["login"]) == ("twitch:id:5", "ann")
                async with browser.get(f"{base}/v1/eligibility") as earned:
                    assert earned.status == 200
                headers = {"x-csrf-token": me["csrf"], "origin": base}
                async with browser.post(f"{base}/v1/opt-out", json={}, headers=headers) as out:
                    assert out.status == 202
                async with browser.get(f"{base}/v1/me") as after:
                    assert after.status == 401
                async with browser.get(f"{base}/health") as health:
                    assert health.status == 200 and "projection_lag_records" in await health.json()
                async with browser.get(f"{base}/metrics") as metrics:
                    text = await metrics.text()
                    assert 'twzrd_web_sign_ins_total{what="done"} 1.0' in text


@pytest.mark.postgres
async def test_a_newcomer_signs_in_without_an_account_and_opts_out(twzrd: Twzrd, tmp_path: Path) -> None:
    made = [json.loads(line) for line in twzrd("keys", "init", "--json").out.splitlines()]
    assert [one["key"] for one in made] == ["pepper", "operator", "session"]
    await signs_in_and_opts_out(tmp_path / "home")
    rows = [json.loads(line) for line in twzrd("optout", "list", "--json").out.splitlines()]
    assert [(row["viewer"], row["by"]) for row in rows] == [("twitch:id:5", "viewer")]


@pytest.mark.postgres
async def test_a_web_process_needs_the_web_role_and_nothing_more(twzrd: Twzrd, tmp_path: Path, pg_dsn: str) -> None:
    owner = {"TWZRD_DATABASE_URL": pg_dsn}
    twzrd("keys", "init")
    twzrd("db", "migrate", **owner)
    async with opened(PostgresLog(pg_dsn)) as log:
        listening = asyncio.create_task(log.read(CONTROL, 0, 0, wait_ms=60_000))
        await signs_in_and_opts_out(tmp_path / "home", TWZRD_WEB_DATABASE_URL=role_dsn(pg_dsn, "twzrd_web"))
        [record] = await listening
        assert await log.append(CONTROL, [Append(0, b"more", b"more")]) == [(0, record.offset + 1)]
    said = control.decode(record.value)
    assert isinstance(said, control.OptOut) and control.key(said) == record.key
    assert (said.viewer, said.by) == ("twitch:id:5", "viewer")
    assert not (tmp_path / "home" / "postgres").exists()  # no database of its own
    refused = twzrd("serve", "--port", "0", code=1, TWZRD_WEB_DATABASE_URL=pg_dsn)
    assert "role twzrd, which may do more than the web should" in refused.err


@pytest.mark.postgres
async def test_without_credentials_the_claim_side_is_off(twzrd: Twzrd, tmp_path: Path) -> None:
    twzrd("keys", "init")
    async with running(tmp_path / "home", "serve", "--port", "0", TWZRD_LOG_FORMAT="json") as serving:
        base, claims = await listens(serving)
        assert not claims
        async with aiohttp.ClientSession() as browser, browser.get(f"{base}/v1/me") as answer:
            assert answer.status == 404


def test_what_is_no_user_is_refused(twzrd: Twzrd) -> None:
    assert "ID:LOGIN" in twzrd("twitch-login", "--user", "ann", code=2).err
    assert "ID:LOGIN" in twzrd("twitch-login", "--user", "05:ann", code=2).err
    assert "1 to 25 letters" in twzrd("twitch-login", "--user", "5:a b", code=2).err
