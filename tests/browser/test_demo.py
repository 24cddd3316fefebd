"""`make demo` as a newcomer meets it: the command's own page, its simulated Twitch, its demo wallet and its chain, in a
real browser, without account or network."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.browser.viewing import PHONE, Tab

pytestmark = pytest.mark.postgres
START_S = 120.0
STOP_S = 60.0


@asynccontextmanager
async def demo(home: Path) -> AsyncIterator[tuple[str, str]]:
    """The page's address and the viewer whom the demo names; ended by Ctrl-C, which it must obey."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    arguments = ["--home", str(home), "demo", "--channels", "2", "--hours", "1", "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.cli",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=clean,
    )
    assert process.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(START_S):
            while "serving until Ctrl-C" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        page = re.search(r"in a browser: (\S+)/claim", said)
        viewer = re.search(r"simulated Twitch\) as (\w+),", said)
        assert page is not None and viewer is not None, said
        yield page[1], viewer[1]
        process.send_signal(signal.SIGINT)
        rest, _ = await asyncio.wait_for(process.communicate(), STOP_S)
        assert process.returncode == 0 and b"Traceback" not in rest, rest.decode()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_newcomer_claims_on_the_demos_own_page(tmp_path: Path, chromium: Browser, axe: str) -> None:
    async with demo(tmp_path / "home") as (base, viewer):
        context = await chromium.new_context(viewport=PHONE)  # by its own clock, as everything else here
        tab = Tab(await context.new_page(), base, axe)
        # The demo wallet asks before it signs.
        tab.page.on("dialog", lambda dialog: asyncio.ensure_future(dialog.accept()))
        await tab.open()
        await tab.page.get_by_role("link", name="Sign in with Twitch").click()
        await tab.see("You are simulating Twitch")
        await tab.page.get_by_role("button", name=re.compile(viewer, re.I)).click()
        await tab.page.wait_for_selector("main.in .parts")
        await tab.page.get_by_role("button", name="Demo wallet").click()
        await tab.page.get_by_role("button", name=re.compile(r"^Claim .* CHAT$")).click()
        await tab.see("It is in your wallet, for good.")
        await expect(tab.page.get_by_role("link", name="See it in the explorer")).to_be_visible()
        await tab.page.reload()
        await tab.see("You have claimed everything.")
        await tab.looks_right("demo-claimed")
        await context.close()
