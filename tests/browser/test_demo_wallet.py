"""The claim page with the demo wallet in it: a newcomer without any wallet binds one, and is told what it is."""

import logging
from typing import Any

from playwright.async_api import Browser

from claim_api.config import ApiConfig
from claim_api.page.demo_wallet import DemoWallet
from claim_api.server import running
from tests.browser.conftest import NO_DATABASE
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import PHONE, Tab, new_context


async def test_a_newcomer_binds_the_demo_wallet(chromium: Browser, scripted: ScriptedClaims, axe: str) -> None:
    logging.getLogger("twzrd.api").setLevel(logging.ERROR)
    config = ApiConfig(dsn=NO_DATABASE, port=0, fast_hashing=False)
    async with running(config, parts=[scripted, DemoWallet("localnet")]) as url:
        context = await new_context(chromium, viewport=PHONE)
        tab = Tab(await context.new_page(), url, axe)
        asked = []

        async def yes(dialog: Any) -> None:
            asked.append(dialog.message)
            await dialog.accept()

        tab.page.on("dialog", yes)
        await tab.sign_in()
        await tab.see("is no real wallet")
        await tab.looks_right("demo-wallet")
        await tab.connect("Demo wallet")
        assert len(asked) == 1 and "wants you to sign in with your Solana account" in asked[0]
        address = scripted.wallets[0]["wallet"]
        await tab.see(address[:4])
        await context.close()


async def test_without_it_the_page_has_no_trace_of_it(base: str, chromium: Browser, axe: str) -> None:
    context = await new_context(chromium)
    tab = Tab(await context.new_page(), base, axe)
    await tab.open()
    assert "demo-wallet" not in await tab.page.content()
    answer = await tab.page.request.get(base + "/claim/demo-wallet.js")
    assert answer.status == 404
    await context.close()
