"""A Chromium for all browser tests, and a page for each: on a scripted claim side, served by the API's own server.

Without Chromium these tests are skipped, loudly; TWZRD_REQUIRE_BROWSER=1 makes that a failure.
"""

import logging
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from claim_api.config import ApiConfig
from claim_api.server import running
from infra.settings import default_cache_dir
from tests.browser.axe import axe_script
from tests.browser.made_hours import MadeHour, made_hours
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import Tab, new_context, wallet_script
from tests.conftest import NO_BROWSER

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = pytest.mark.asyncio(loop_scope="session")
    for item in items:
        if "tests/browser" in item.path.as_posix():
            item.add_marker(pytest.mark.browser)
            item.add_marker(here, append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Started once."""
    if CHROMIUM is None:
        if os.environ.get("TWZRD_REQUIRE_BROWSER"):
            pytest.fail("TWZRD_REQUIRE_BROWSER is set, but Chromium is not installed")
        pytest.skip(NO_BROWSER + "Chromium is not installed; on Debian and Ubuntu: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's text."""
    return axe_script(default_cache_dir())


@pytest.fixture(scope="session")
def hours() -> list[MadeHour]:
    """24 hours over four months, in three channels."""
    return made_hours()


@pytest.fixture
def scripted(hours: list[MadeHour]) -> ScriptedClaims:
    """What the server knows; set it before `visit`."""
    return ScriptedClaims(hours)


@pytest_asyncio.fixture(loop_scope="session")
async def base(scripted: ScriptedClaims) -> AsyncIterator[str]:
    """The scripted claim side, served."""
    # There is no database behind it, which the server would say over and over.
    logging.getLogger("twzrd.api").setLevel(logging.ERROR)
    config = ApiConfig(dsn=NO_DATABASE, port=0, fast_hashing=False)
    async with running(config, parts=[scripted]) as url:
        yield url


Visit = Callable[..., Awaitable[Tab]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(chromium: Browser, base: str, axe: str) -> AsyncIterator[Visit]:
    """Opens a browser of its own on the page: visit(wallet options or None, context options)."""
    opened = []

    async def start(wallet: dict[str, Any] | None = {}, **more: Any) -> Tab:  # noqa: B006 - never changed
        context = await new_context(chromium, *([] if wallet is None else [wallet_script(**wallet)]), **more)
        opened.append(context)
        return Tab(await context.new_page(), base, axe)

    yield start
    for context in opened:
        await context.close()
