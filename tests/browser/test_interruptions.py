"""What comes between: a lost network, a session that ends, another tab, a refusal. Nothing is lost by it."""

from playwright.async_api import expect

from claim_api.errors import ApiError
from tests.browser.conftest import Visit
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import Tab


async def test_a_lost_network_is_said_and_the_claim_is_followed_when_it_is_back(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    await tab.page.context.set_offline(True)
    await scripted.step("signed")
    await tab.see("No connection.", timeout_ms=30_000)
    await tab.looks_right("no-connection")
    await scripted.step("sent")
    await scripted.step("confirmed")
    await tab.page.context.set_offline(False)
    await tab.see("It is in your wallet, for good.", timeout_ms=30_000)
    await expect(tab.page.get_by_text("No connection.")).to_have_count(0)


async def test_a_claim_whose_answer_was_lost_is_found_and_not_made_twice(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()

    async def swallow(route: object) -> None:
        if route.request.method != "POST":  # type: ignore[attr-defined]
            await route.continue_()  # type: ignore[attr-defined]
            return
        await route.fetch()  # type: ignore[attr-defined]
        await route.abort()  # type: ignore[attr-defined]

    await tab.page.route("**/v1/claims", swallow)
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    assert len(scripted.claims) == 1
    await expect(tab.page.locator(".notice.bad")).to_have_count(0)
    await scripted.all_steps()
    await tab.see("It is in your wallet, for good.")


async def test_a_claim_that_never_arrived_is_said_and_can_be_made_again(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.route(
        "**/v1/claims", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("The server did not answer.")
    assert scripted.claims == []
    await tab.page.unroute("**/v1/claims")
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    assert len(scripted.claims) == 1


async def test_a_session_that_ends_keeps_the_place(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("checkbox", name="All that is ready in forsen").check()
    scripted.end_sessions()
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Your session is over.")
    # What was there stays there.
    await tab.see("7 hours chosen")
    await tab.looks_right("session-over")
    await tab.page.locator(".notice").get_by_role("link", name="Sign in with Twitch").click()
    await tab.see("7 hours chosen")
    await expect(tab.page.get_by_text("Your session is over.")).to_have_count(0)
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Reserved for you.")
    assert len(scripted.claims[0]["allocations"]) == 7


async def test_a_session_that_ends_while_a_claim_is_followed_goes_on_afterwards(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    scripted.end_sessions()
    await scripted.step("signed")
    await tab.see("Your session is over.")
    await tab.page.locator(".notice").get_by_role("link", name="Sign in with Twitch").click()
    await tab.see("Signed. Next")
    await scripted.step("sent")
    await scripted.step("confirmed")
    await tab.see("It is in your wallet, for good.")


async def test_a_new_session_of_the_browser_is_taken_over_without_a_word(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    first = await (await visit()).sign_in()
    await first.connect()
    # The other tab signs in again: a new session with a new token, in the same browser.
    second = Tab(await first.page.context.new_page(), first.base, first.axe)
    await second.page.goto(f"{first.base}/auth/twitch/login?return=/claim")
    await second.see("Ready to claim")
    await first.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await first.see("Reserved for you.")
    assert len(scripted.claims) == 1 and not first.faults


async def test_two_tabs_show_the_same(visit: Visit, scripted: ScriptedClaims) -> None:
    first = await (await visit()).sign_in()
    await first.connect()
    second = Tab(await first.page.context.new_page(), first.base, first.axe)
    await second.open()
    await second.see("Ready to claim")
    await first.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await second.see("Reserved for you.")
    await scripted.all_steps()
    await first.see("It is in your wallet, for good.")
    await second.see("It is in your wallet, for good.")
    await first.page.get_by_role("button", name="Sign out").click()
    await second.see("See what your hours in chat have earned.")


async def test_two_tabs_that_claim_the_same_get_one_claim(visit: Visit, scripted: ScriptedClaims) -> None:
    first = await (await visit()).sign_in()
    await first.connect()
    # Tabs that cannot talk to each other: the server alone keeps them apart.
    await first.page.context.add_init_script(
        "delete window.BroadcastChannel; window.BroadcastChannel = class extends EventTarget { postMessage() {} };"
    )
    second = Tab(await first.page.context.new_page(), first.base, first.axe)
    await second.open()
    for tab in (first, second):
        await tab.page.get_by_role("checkbox", name="All that is ready in forsen").check()
    await first.page.get_by_role("button", name="Claim", exact=True).click()
    await first.see("Reserved for you.")
    await second.page.get_by_role("button", name="Claim", exact=True).click()
    await second.see("Some of these hours were claimed a moment ago.")
    await second.see("Reserved for you.")
    assert len(scripted.claims) == 1


async def test_a_refusal_of_the_server_says_what_to_do(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    scripted.refusals["claims"] = [ApiError(429, "over_limit", "over the daily limit", "claim fewer")]
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("This is more than may be claimed today.")
    await tab.looks_right("refused-over-limit")
    scripted.refusals["claims"] = [ApiError(409, "new_code", "words of the server", "and its advice")]
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("words of the server")
    await tab.see("and its advice")


async def test_a_server_with_too_much_to_do_is_asked_again(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.refusals["eligibility"] = [ApiError(503, "busy", "busy", "later"), ApiError(429, "rate_limited", "", "")]
    tab = await (await visit()).sign_in()
    assert scripted.asked.count("eligibility") == 3
    await expect(tab.page.locator(".notice")).to_have_count(0)


async def test_frozen_claims_are_said_and_cannot_be_pressed(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.frozen = True
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.see("Claims are paused.")
    await expect(tab.page.get_by_role("button", name="Claim 4,356 CHAT")).to_be_disabled()
    await tab.looks_right("frozen")
