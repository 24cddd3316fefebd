"""Every state of the page to look at: phone and desktop, light and dark."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import DESKTOP, PHONE

LOOKS = [
    pytest.param({"viewport": size, "color_scheme": scheme}, f"{name}-{scheme}", id=f"{name}-{scheme}")
    for name, size in (("phone", PHONE), ("desktop", DESKTOP))
    for scheme in ("light", "dark")
]


@pytest.mark.parametrize(("look", "name"), LOOKS)
async def test_each_state_looks_right(
    visit: Visit, scripted: ScriptedClaims, look: dict[str, object], name: str
) -> None:
    tab = await visit(**look)
    await tab.open()
    await tab.see("See what your hours in chat have earned.")
    await tab.looks_right(f"{name}-1-welcome")
    await tab.sign_in()
    await tab.looks_right(f"{name}-2-signed-in")
    await tab.connect()
    wallet = scripted.wallets[0]["wallet"]
    old = scripted.made_claim(scripted.hours[-9:], wallet)
    scripted.claims.append(old)
    await scripted.all_steps()
    await tab.page.reload()
    await tab.see("What you have claimed")
    await tab.page.locator("input[data-key^='hour|']").nth(0).check()
    await tab.page.locator("input[data-key^='hour|']").nth(1).check()
    await tab.looks_right(f"{name}-3-chosen")
    await tab.page.get_by_role("button", name="Claim", exact=True).click()
    await tab.see("Reserved for you.")
    await scripted.step("signed", 2)
    await scripted.step("sent", 2)
    await tab.see("Sent. The network needs")
    await tab.looks_right(f"{name}-4-claiming")
    await tab.page.get_by_role("button", name="Check my proof").first.click()
    await tab.see("It holds.")
    await tab.page.locator("dialog details").nth(1).locator("summary").click()
    await tab.looks_right(f"{name}-5-proof")
