"""The whole way of a viewer on the page, on the scripted claim side: signing in, wallet, claims, back later."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import WALLET


async def test_everything_is_claimed_with_every_step_seen_and_confetti_at_the_end(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    assert await tab.page.evaluate("mockWallet.asked") == ["connect", "signIn"]
    assert scripted.wallets[0]["wallet"] == WALLET
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    for step, sentence in (
        (None, "Reserved for you."),
        ("signed", "Signed. Next"),
        ("sent", "Sent. The network"),
        ("confirmed", "It is in your wallet, for good."),
    ):
        if step:
            await scripted.step(step)
            await tab.said(f"CHAT {step}")
        await tab.see(sentence)
    await expect(tab.page.locator("#confetti")).to_be_visible()
    await expect(tab.page.locator(".steps li.done")).to_have_count(4)
    explorer = tab.page.get_by_role("link", name="See it in the explorer")
    assert await explorer.get_attribute("href") == scripted.claims[0]["explorer_url"]
    assert await explorer.get_attribute("rel") == "noopener noreferrer"
    await tab.see("You have claimed everything.")
    await tab.looks_right("flow-confirmed")
    await expect(tab.page.locator("#confetti")).to_be_hidden()


async def test_whoever_wants_less_motion_sees_no_confetti(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit(reduced_motion="reduce")).sign_in()
    await tab.connect()
    # The canvas is never shown, not even for a moment.
    await tab.page.evaluate(
        "window.shown = 0; new MutationObserver(() => shown++).observe(document.getElementById('confetti'),"
        " {attributes: true})"
    )
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    await scripted.all_steps()
    await tab.see("It is in your wallet, for good.")
    assert await tab.page.evaluate("shown") == 0


async def test_one_hour_is_claimed_alone(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("checkbox", name=re.compile("forsen, Wed 25 Nov")).check()
    await tab.see("1 hour chosen")
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Reserved for you.")
    (claim,) = scripted.claims
    assert [one["epoch_start_s"] for one in claim["allocations"]] == [scripted.hours[0].epoch_start_s]


async def test_all_of_a_channel_are_claimed(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("checkbox", name="All that is ready in forsen").check()
    await tab.see("7 hours chosen")
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Reserved for you.")
    assert {one["channel"] for one in scripted.claims[0]["allocations"]} == {"twitch:id:100"}
    assert len(scripted.claims[0]["allocations"]) == 7


async def test_a_reload_and_a_later_visit_see_the_truth(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    await scripted.step("signed")
    await tab.page.reload()
    await tab.see("Signed. Next")
    await tab.page.goto("about:blank")
    await scripted.step("sent")
    await scripted.step("confirmed")
    await tab.open()
    await tab.see("What you have claimed")
    await tab.see("You have claimed everything.")
    # It ended while nobody looked: nothing is celebrated now.
    await expect(tab.page.locator("#confetti")).to_be_hidden()
    assert scripted.asked.count("claims") >= 3 and len(scripted.claims) == 1


async def test_a_held_claim_says_so(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    await scripted.step("held")
    await tab.see("an operator is looking at it")
    await tab.see("The reason that was noted: wrong_answer.")
    await tab.looks_right("flow-held")


async def test_older_hours_come_when_asked_for(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.page_rows = 10
    tab = await (await visit()).sign_in()
    await expect(tab.page.locator(".channel .row")).to_have_count(10)
    await tab.page.get_by_role("button", name="Show older hours").click()
    await expect(tab.page.locator(".channel .row")).to_have_count(20)
    await tab.page.get_by_role("button", name="Show older hours").click()
    await expect(tab.page.locator(".channel .row")).to_have_count(24)
    await expect(tab.page.get_by_role("button", name="Show older hours")).to_have_count(0)


async def test_the_weeks_stand_in_a_table_too(visit: Visit) -> None:
    tab = await (await visit()).sign_in()
    await tab.page.get_by_text("As a table").click()
    rows = tab.page.locator(".weeks tbody tr")
    await expect(rows).to_have_count(26)
    assert await rows.first.inner_text() == "23 Nov 2026\t80\t1\t60 of 60 min"
    await expect(tab.page.locator(".chart .some")).to_have_count(18)
    await tab.looks_right("weeks-table")


async def test_what_comes_from_outside_stays_text(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.display_name = "<img src=x onerror=alert(1)>"
    tab = await (await visit({"name": "<b>Wallet</b>"})).sign_in()
    await tab.see("<img src=x onerror=alert(1)>")
    await expect(tab.page.get_by_role("button", name="<b>Wallet</b>")).to_be_visible()
    await expect(tab.page.locator("img[src=x], .wallets b")).to_have_count(0)


async def test_the_page_is_at_both_paths_and_comes_back_to_the_same(visit: Visit) -> None:
    tab = await visit()
    await tab.open("/claim-v2")
    await tab.page.get_by_role("link", name="Sign in with Twitch").click()
    await tab.page.wait_for_selector("main.in .parts")
    assert tab.page.url == f"{tab.base}/claim-v2"


async def test_a_sign_in_that_failed_says_why_once(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.sign_in_fails = "denied"
    tab = await (await visit()).open()
    await tab.page.get_by_role("link", name="Sign in with Twitch").click()
    await tab.see("You chose not to sign in.")
    assert tab.page.url == f"{tab.base}/claim"
    await tab.looks_right("sign-in-denied")


async def test_signing_out_leaves_nothing_on_the_page(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.page.get_by_role("button", name="Sign out").click()
    await tab.see("See what your hours in chat have earned.")
    assert scripted.sessions == {}
    assert "Ann_ö" not in await tab.page.content()


async def test_forget_me_is_said_first_and_done_on_the_second_word(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    ask = tab.page.get_by_role("button", name="Forget me …")
    await ask.click()
    await tab.see("Have yourself forgotten?")
    await tab.looks_right("forget-asked")
    await tab.page.get_by_role("button", name="Keep me").click()
    assert "opt_out" not in scripted.asked
    assert len(scripted.sessions) == 1
    await ask.click()
    await tab.page.get_by_role("button", name="Forget me", exact=True).click()
    await tab.see("You are forgotten.")
    assert scripted.asked.count("opt_out") == 1 and not scripted.sessions
    assert await tab.is_focused() == "forgotten"
    await tab.looks_right("forgotten")
    await tab.page.reload()
    await tab.see("See what your hours in chat have earned.")
