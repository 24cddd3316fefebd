"""Without a pointer and without eyes: everything is reached by the keyboard, and what happens is said."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Visit
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import Tab

MOST_STEPS = 60


async def tab_to(tab: Tab, key: str) -> None:
    """Tab until that has the focus; the focus must be seen on the way."""
    for _ in range(MOST_STEPS):
        if key in await tab.is_focused():
            return
        await tab.page.keyboard.press("Tab")
        seen = await tab.page.evaluate(
            "(() => { const n = document.activeElement; if (n === document.body) return true;"
            " const box = (n.id === 'proof-file' ? n.parentElement.querySelector('.button') : n);"
            " return getComputedStyle(box).outlineStyle !== 'none'; })()"
        )
        assert seen, f"the focus on {await tab.is_focused()} is not to be seen"
    raise AssertionError(f"{key} was not reached in {MOST_STEPS} steps")


async def test_the_whole_way_by_keyboard_alone(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit()).open()
    await tab_to(tab, "sign-in")
    await tab.page.keyboard.press("Enter")
    await tab.page.wait_for_selector("main.in .parts")
    await tab_to(tab, "main-act")
    await tab.page.keyboard.press("Enter")
    # "Connect a wallet" leads to the wallets.
    assert await tab.is_focused() == "wallet-title"
    await tab_to(tab, "wallet|Testwallet")
    await tab.page.keyboard.press("Enter")
    await tab.said("Your wallet is connected.")
    await tab_to(tab, "hour|twitch:id:100|")
    await tab.page.keyboard.press("Space")
    await tab.see("1 hour chosen")
    # Drawing the list anew does not take the focus away.
    assert (await tab.is_focused()).startswith("hour|twitch:id:100|")
    await tab_to(tab, "proof|")
    await tab.page.keyboard.press("Enter")
    await tab.see("It holds.")
    assert await tab.is_focused() == "proof-title"
    await tab.page.keyboard.press("Escape")
    assert (await tab.is_focused()).startswith("proof|")
    await tab_to(tab, "claim-chosen")
    await tab.page.keyboard.press("Enter")
    await tab.said("reserved")
    await scripted.step("signed")
    await tab.said("signed")
    await scripted.step("sent")
    await tab.said("sent")
    await scripted.step("confirmed")
    await tab.said("confirmed. It is in your wallet.")


async def test_the_first_stop_leads_past_the_top_line(visit: Visit) -> None:
    tab = await (await visit()).sign_in()
    await tab.page.keyboard.press("Tab")
    assert await tab.is_focused() == "skip"
    await tab.looks_right("skip-link")
    await tab.page.keyboard.press("Enter")
    assert await tab.is_focused() == "main"


async def test_landmarks_and_headings_tell_the_page(visit: Visit) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    for role in ("banner", "main", "contentinfo"):
        await expect(tab.page.get_by_role(role)).to_have_count(1)
    headings = await tab.page.get_by_role("heading").all_inner_texts()
    assert headings == ["Ready to claim", "Your wallet", "Your weeks", "Your hours", "Check any proof", "Forget me"]
    for name in headings:
        await expect(tab.page.get_by_role("region", name=name)).to_have_count(1)


async def test_the_steps_of_a_claim_are_a_list_that_says_where_it_stands(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Reserved for you.")
    await scripted.step("signed")
    await tab.see("Signed. Next")
    steps = tab.page.get_by_role("list", name="Steps").get_by_role("listitem")
    texts = [" ".join(one.split()) for one in await steps.all_inner_texts()]
    assert [text.split()[0] for text in texts] == ["Reserved", "Signed", "Sent", "Confirmed"]
    assert texts[2:] == ["Sent not yet", "Confirmed not yet"]
    assert await tab.page.locator("[aria-current=step]").inner_text() == await steps.nth(1).inner_text()


@pytest.mark.parametrize(("width", "text"), [(320, "100%"), (640, "200%")])
async def test_narrow_windows_and_large_text_fit(visit: Visit, width: int, text: str) -> None:
    # WCAG 2.2, 1.4.10 and 1.4.4: 320 px wide, and text twice as large.
    tab = await (await visit(viewport={"width": width, "height": 900})).sign_in()
    await tab.connect()
    await tab.page.evaluate("(size) => { document.documentElement.style.fontSize = size; }", text)
    await tab.page.locator("input[data-key^='hour|']:visible").first.check()
    await tab.looks_right(f"narrow-{width}")
