"""The page on everything real: the served API as `twzrd serve` composes it, Postgres, a local Twitch, a local Solana,
the signer and the payer. Only slots and the payer's steps pass by hand, so that each state of a claim can be seen.
"""

import contextlib
import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from prometheus_client import CollectorRegistry
from solders.pubkey import Pubkey

from claim_api.config import ApiConfig
from claim_api.payer.door import serving_door
from claim_api.server import base_url, listen, running
from claim_api.signer.books import Binding
from claim_api.wallets import siws
from infra import claiming, keys
from infra.setting_rules import Secret
from infra.settings import Settings
from infra.twitch_login.server import served
from infra.twitch_login.state import CLIENT_ID, CLIENT_SECRET, LoginState
from schemas import control
from streams.collect.live.control import say
from streams.log.port import CONTROL
from tests.browser.made_hours import CHANNELS, FIRST_ID, MadeHour, made_hours
from tests.browser.viewing import WALLET, Tab, new_context, wallet_script
from tests.claims_parts import held_base_units
from tests.claims_world import ClaimsWorld, PayerHere, claims_world
from tests.hours import PEPPER

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="session")
def pg_template(migrated_template: str) -> str:
    """Each test's database is migrated."""
    return migrated_template


@pytest.fixture(scope="session")
def few_hours() -> list[MadeHour]:
    """Five hours in two channels."""
    return made_hours(5, CHANNELS[:2])


@dataclass
class RealSite:
    """One tab on one served API, and what pays its claims."""

    tab: Tab
    world: ClaimsWorld
    payer: PayerHere

    async def sign_in(self) -> None:
        """The whole way through the local Twitch, as a viewer goes it."""
        await self.tab.open()
        await self.tab.page.get_by_role("link", name="Sign in with Twitch").click()
        await self.tab.see("You are simulating Twitch")
        await self.tab.page.get_by_role("button", name=re.compile("viewer1007", re.I)).click()
        await self.tab.page.wait_for_selector("main.in .parts")

    def paid(self) -> int:
        """What the mock wallet holds on the chain, base units."""
        return held_base_units(self.world.localnet.chain, Pubkey.from_string(WALLET), self.world.mint)


@contextlib.asynccontextmanager
async def real_site(
    dsn: str, folder: Path, chromium: Browser, axe: str, hours: list[MadeHour], **changes: object
) -> AsyncIterator[RealSite]:
    """changes: settings before the usual ones."""
    twitch_state = LoginState()
    twitch_state.add_user(f"viewer{FIRST_ID}", str(FIRST_ID))
    async with claims_world(dsn, folder) as world, served(twitch_state) as twitch:
        await world.seal(*(one.sealed for one in reversed(hours)))
        listening = listen(config := ApiConfig(dsn=dsn, port=0, pepper=PEPPER, fast_hashing=False))
        base = base_url(listening)
        usual = {
            "home": folder,
            "mint": str(world.mint),
            "rpc_urls": Secret(world.localnet.url),
            "twitch_id_url": twitch.id_url,
            "twitch_api_url": twitch.api_url,
            "twitch_client_id": CLIENT_ID,
            "twitch_client_secret": Secret(CLIENT_SECRET),
            "payer_socket": folder / "run" / "payer.sock",
        }
        settings = Settings(**{**usual, **changes})  # type: ignore[arg-type]
        keys.init_session_key(settings.session_key_path)
        parts = claiming.parts_of(
            settings, dsn, base, claiming.opt_out_by(partial(say, world.log)), CollectorRegistry()
        )

        def verify(binding: Binding, identity: str) -> None:
            domain = base.removeprefix("http://")
            siws.verify_binding(binding.message, binding.signature, binding.wallet, identity, domain, "localnet")

        payer = world.payer(world.signer(verify=verify))
        context = await new_context(chromium, wallet_script())
        async with (
            serving_door(payer.payer.door, settings.payer_socket_path, Counter()),
            running(config, parts=parts, listening=listening),
        ):
            yield RealSite(Tab(await context.new_page(), base, axe), world, payer)
            await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def site(
    pg_dsn: str, tmp_path: Path, chromium: Browser, axe: str, few_hours: list[MadeHour]
) -> AsyncIterator[RealSite]:
    async with real_site(pg_dsn, tmp_path, chromium, axe, few_hours) as made:
        yield made


async def test_a_viewer_signs_in_binds_claims_and_is_paid(site: RealSite, few_hours: list[MadeHour]) -> None:
    tab, total = site.tab, sum(one.base_units for one in few_hours)
    await site.sign_in()
    await tab.looks_right("real-signed-in")
    await expect(tab.page.locator(".channel .row")).to_have_count(5)
    await tab.see("57 of 60 min observed")
    await tab.connect()
    await tab.page.get_by_role("button", name=re.compile(r"^Claim .* CHAT$")).click()
    await tab.see("Reserved for you.")
    assert await site.payer.take() == 1
    await tab.see("Sent. The network")
    await tab.page.reload()
    await tab.see("Sent. The network")
    site.world.slots(4)
    await site.payer.look()
    await tab.see("It is in your wallet, for good.")
    assert site.paid() == total > 0
    await tab.see("You have claimed everything.")
    href = await tab.page.get_by_role("link", name="See it in the explorer").get_attribute("href")
    row = await site.world.owner.fetchrow("select state, signature from claims.claims")
    assert row["state"] == "confirmed" and row["signature"] in str(href)
    assert str(href).endswith(f"?cluster=custom&customUrl={quote(site.world.localnet.url, safe='')}")
    await tab.looks_right("real-confirmed")


async def test_the_servers_own_proof_holds_and_its_seal_is_the_published_one(site: RealSite) -> None:
    await site.sign_in()
    for check in await site.tab.page.locator("[data-key^='proof|']").all():
        if not await check.is_visible():
            continue
        await check.click()
        await site.tab.see("It holds.")
        await expect(site.tab.page.locator(".checks li.good")).to_have_count(10)
        await site.tab.see("The bundle's seal is the one that this server publishes for the hour.")
        await site.tab.page.get_by_role("button", name="Close").click()
    await site.tab.looks_right("real-proof")


async def test_some_hours_are_claimed_and_the_rest_later(site: RealSite, few_hours: list[MadeHour]) -> None:
    tab = site.tab
    await site.sign_in()
    await tab.connect()
    await tab.page.locator("input[data-key^='hour|']:visible").first.check()
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Reserved for you.")
    await site.payer.until_confirmed(1)
    await tab.see("It is in your wallet, for good.")
    paid = site.paid()
    assert 0 < paid < sum(one.base_units for one in few_hours)
    await tab.page.get_by_role("button", name=re.compile(r"^Claim .* CHAT$")).click()
    await tab.see("Reserved for you.")
    await site.payer.until_confirmed(2)
    await tab.see("You have claimed everything.")
    assert site.paid() == sum(one.base_units for one in few_hours)


async def test_forget_me_reaches_the_control_stream_and_what_is_sealed_stays_theirs(
    site: RealSite, few_hours: list[MadeHour]
) -> None:
    await site.sign_in()
    await site.tab.page.get_by_role("button", name="Forget me …").click()
    await site.tab.page.get_by_role("button", name="Forget me", exact=True).click()
    await site.tab.see("You are forgotten.")
    said = [control.decode(record.value) for record in await site.world.log.read(CONTROL, 0, 0)]
    assert [one.viewer for one in said if isinstance(one, control.OptOut)] == [f"twitch:id:{FIRST_ID}"]
    await site.tab.open()
    await site.tab.see("See what your hours in chat have earned.")
    await site.sign_in()
    await site.tab.connect()
    await site.tab.page.get_by_role("button", name=re.compile(r"^Claim .* CHAT$")).click()
    await site.tab.see("Reserved for you.")
    await site.payer.until_confirmed(1)
    assert site.paid() == sum(one.base_units for one in few_hours)


async def test_a_viewer_who_pays_the_fee_signs_and_is_paid(
    pg_dsn: str, tmp_path: Path, chromium: Browser, axe: str, few_hours: list[MadeHour]
) -> None:
    async with real_site(pg_dsn, tmp_path, chromium, axe, few_hours, claim_fee="viewer") as site:
        # Whoever pays fees needs something to pay them with.
        gift = site.world.localnet.chain.airdrop(Pubkey.from_string(WALLET), 10**9)
        assert await site.world.chain.send(bytes(gift)) is None
        site.world.slots(4)
        tab = site.tab
        await site.sign_in()
        await tab.connect()
        await tab.page.get_by_role("button", name=re.compile(r"^Claim .* CHAT$")).click()
        # It is sent at once: either may be what is seen first.
        await tab.see(re.compile(r"Signed\. Next|Sent\. The network"))
        assert "signTransaction" in await tab.page.evaluate("mockWallet.asked")
        await site.payer.until_confirmed(1)
        await tab.see("It is in your wallet, for good.")
        assert site.paid() == sum(one.base_units for one in few_hours)


async def test_two_tabs_that_claim_everything_are_paid_once(site: RealSite, few_hours: list[MadeHour]) -> None:
    await site.sign_in()
    await site.tab.connect()
    second = Tab(await site.tab.page.context.new_page(), site.tab.base, site.tab.axe)
    await second.open()
    await second.see("Ready to claim")
    claim = re.compile(r"^Claim .* CHAT$")
    for tab in (site.tab, second):
        # Both are pressed before either has heard of the other.
        await tab.page.get_by_role("button", name=claim).evaluate("(node) => setTimeout(() => node.click(), 300)")
    await site.tab.see("Reserved for you.")
    await second.see("Reserved for you.")
    assert await site.world.owner.fetchval("select count(*) from claims.claims") == 1
    await site.payer.until_confirmed(1)
    await site.tab.see("It is in your wallet, for good.")
    await second.see("It is in your wallet, for good.")
    assert site.paid() == sum(one.base_units for one in few_hours)
