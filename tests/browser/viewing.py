"""A viewer at the page: a tab of a real Chromium with a wallet of ours in it, and what is asked of every state.

`Tab.looks_right` is called wherever a test stands still: axe finds nothing serious, no script failed, nothing was
blocked by the page's own policy, nothing is wider than the window; and a picture is kept under build/screenshots.
"""

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Browser, BrowserContext, Page, ViewportSize
from playwright.async_api import TimeoutError as NotInTime
from solders.keypair import Keypair

FOLDER: Final = Path(__file__).parent
SCREENSHOTS: Final = FOLDER.parents[1] / "build" / "screenshots"
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 900}
SEED: Final = bytes(range(32))
KEYPAIR: Final = Keypair.from_seed(SEED)
WALLET: Final = str(KEYPAIR.pubkey())
SERIOUS: Final = ("serious", "critical")
# What the browser itself writes when a request fails; a test that takes the network away means it to.
EXPECTED_ERRORS: Final = ("Failed to load resource", "net::ERR_")
NOW: Final = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


def wallet_script(*, name: str = "Testwallet", seed: bytes = SEED, **more: Any) -> str:
    """The mock wallet as an init script; more: chains, signIn, offChain, ownWords, refuse."""
    public = Keypair.from_seed(seed).pubkey()
    options = {
        "name": name,
        "seed": seed.hex(),
        "address": str(public),
        "publicKey": bytes(public).hex(),
        "chains": ["solana:localnet"],
        "signIn": True,
        **more,
    }
    return f"(() => {{ const options = {json.dumps(options)};\n{(FOLDER / 'mock_wallet.js').read_text()} }})();"


@dataclass
class Tab:
    """One tab on one server's page."""

    page: Page
    base: str
    axe: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("console", self._heard)

    def _heard(self, message: Any) -> None:
        if message.type == "error" and not any(one in message.text for one in EXPECTED_ERRORS):
            self.faults.append(f"console: {message.text}")

    async def open(self, path: str = "/claim") -> "Tab":
        """The page, drawn."""
        await self.page.goto(self.base + path)
        await self.page.wait_for_selector("main:not([aria-busy=true])")
        return self

    async def sign_in(self) -> "Tab":
        """By the page's own link."""
        await self.open()
        await self.page.get_by_role("link", name="Sign in with Twitch").click()
        await self.page.wait_for_selector("main.in .parts")
        return self

    async def connect(self, name: str = "Testwallet") -> None:
        """The mock wallet, all the way."""
        await self.page.get_by_role("button", name=name).click()
        await self.page.wait_for_selector(".wallet .address")

    async def see(self, text: str | re.Pattern[str], *, timeout_ms: float = 10_000) -> None:
        """The text is somewhere on the page, to be seen."""
        try:
            await self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=timeout_ms)
        except NotInTime:
            await self._picture("failed")
            raise AssertionError(
                f"{text!r} is not to be seen; see build/screenshots/failed.png; {self.faults}"
            ) from None

    async def said(self, text: str) -> None:
        """It was said to those who do not see the page."""
        await self.page.wait_for_function("(t) => document.getElementById('said').textContent.includes(t)", arg=text)

    async def is_focused(self) -> str:
        """data-key, id or text of what has the focus."""
        script = "(() => { const n = document.activeElement; return n.dataset.key || n.id || n.textContent; })()"
        return str(await self.page.evaluate(script))

    async def looks_right(self, name: str) -> None:
        """See the module. name: of the picture."""
        await self._picture(name)
        wide = await self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name}: {wide} px wider than the window"
        await self.page.evaluate(self.axe)
        found = await self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        bad = [
            (one["id"], one["impact"], one["help"], [node["html"][:160] for node in one["nodes"]])
            for one in found["violations"]
            if one["impact"] in SERIOUS
        ]
        assert not bad, f"{name}: {bad}"
        assert found["passes"], "axe looked at nothing"
        assert not self.faults, f"{name}: {self.faults}"

    async def _picture(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True, animations="disabled")


async def new_context(browser: Browser, *scripts: str, **more: Any) -> BrowserContext:
    """A browser of its own: cookies, storage, size. scripts: run before the page's own."""
    usual = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", "color_scheme": "light"}
    context = await browser.new_context(**{**usual, **more})
    # Dates of this year are shown without it.
    await context.clock.set_fixed_time(NOW)
    for script in scripts:
        await context.add_init_script(script)
    context.set_default_timeout(10_000)
    return context
