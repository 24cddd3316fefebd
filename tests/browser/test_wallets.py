"""Wallets of every kind: they sign in, sign text only, add a header, refuse, or are on another network."""

from datetime import timedelta

import pytest
from playwright.async_api import expect
from solders.keypair import Keypair

from tests.browser.conftest import Visit
from tests.browser.scripted_claims import ScriptedClaims
from tests.browser.viewing import PHONE, WALLET, wallet_script

LATER = "2099-01-01T00:00:00.000Z"


@pytest.mark.parametrize(
    ("wallet", "asked"),
    [
        ({}, ["connect", "signIn"]),
        ({"signIn": False}, ["connect", "signMessage"]),
        ({"signIn": False, "offChain": True}, ["connect", "signMessage"]),
        ({"offChain": True}, ["connect", "signIn"]),
    ],
    ids=["signs in", "signs text", "hardware text", "hardware sign-in"],
)
async def test_a_wallet_is_bound_in_its_own_way(
    visit: Visit, scripted: ScriptedClaims, wallet: dict[str, object], asked: list[str]
) -> None:
    tab = await (await visit(wallet)).sign_in()
    await tab.connect()
    assert await tab.page.evaluate("mockWallet.asked") == asked
    assert [one["wallet"] for one in scripted.wallets] == [WALLET]
    await tab.said("Your wallet is connected.")


async def test_a_wallet_with_its_own_words_signs_the_plain_text_instead(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit({"ownWords": True})).sign_in()
    await tab.page.get_by_role("button", name="Testwallet").click()
    await tab.see("Testwallet wrote the message in its own words.")
    await tab.page.get_by_role("button", name="Sign the plain text").click()
    await tab.page.wait_for_selector(".wallet .address")
    assert [one["wallet"] for one in scripted.wallets] == [WALLET]


@pytest.mark.parametrize("refused", ["connect", "signIn"])
async def test_a_refusal_is_no_fault_and_may_be_thought_over(
    visit: Visit, scripted: ScriptedClaims, refused: str
) -> None:
    tab = await (await visit({"refuse": refused})).sign_in()
    await tab.page.get_by_role("button", name="Testwallet").click()
    await tab.see("You said no in Testwallet.")
    await expect(tab.page.locator(".notice")).to_have_count(0)
    assert scripted.wallets == []
    await tab.looks_right(f"wallet-refused-{refused}")
    await tab.page.get_by_role("button", name="Try again").click()
    await tab.page.wait_for_selector(".wallet .address")
    assert len(scripted.wallets) == 1


async def test_a_wrong_network_is_explained_before_anything_is_signed(visit: Visit, scripted: ScriptedClaims) -> None:
    tab = await (await visit({"chains": ["solana:devnet"]})).sign_in()
    await tab.page.get_by_role("button", name="Testwallet").click()
    await tab.see("Testwallet is on another network.")
    await tab.see("Claims are paid on localnet; this account is set to: devnet.")
    assert await tab.page.evaluate("mockWallet.asked") == ["connect"]
    await tab.looks_right("wallet-network")
    await tab.page.get_by_role("button", name="Use this address all the same").click()
    await tab.page.wait_for_selector(".wallet .address")
    assert scripted.wallets[0]["wallet"] == WALLET


async def test_without_a_wallet_the_page_says_what_to_install(visit: Visit) -> None:
    tab = await (await visit(None)).sign_in()
    await tab.see("No Solana wallet was found in this browser.")
    assert await tab.page.locator(".homes a").all_inner_texts() == ["Phantom", "Solflare", "Backpack"]
    await tab.looks_right("wallet-none")


async def test_a_phone_is_told_of_the_wallets_own_browser(visit: Visit) -> None:
    tab = await (await visit(None, viewport=PHONE, has_touch=True, is_mobile=True)).sign_in()
    await tab.see("open this page in the browser inside your wallet's app")
    href = await tab.page.get_by_role("link", name="Open in Phantom").get_attribute("href")
    assert href is not None and href.startswith("https://phantom.app/ul/browse/http%3A%2F%2F127.0.0.1")
    await tab.looks_right("wallet-none-phone")


async def test_a_wallet_that_comes_later_is_seen(visit: Visit) -> None:
    tab = await (await visit(None)).sign_in()
    await tab.see("No Solana wallet was found in this browser.")
    await tab.page.evaluate(wallet_script(name="Late"))
    await tab.connect("Late")


async def test_a_second_wallet_waits_its_time_and_the_first_stays_in_force(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    scripted.waiting_time = timedelta(days=3)
    tab = await (await visit({"name": "Second", "seed": bytes([2] * 32)})).sign_in()
    first = str(Keypair().pubkey())
    scripted.wallets.append(
        {"wallet": first, "bound_at": "2026-01-01T00:00:00.000Z", "effective_at": "2026-01-01T00:00:00.000Z"}
    )
    await tab.page.reload()
    await tab.page.get_by_role("button", name="Use another wallet").click()
    await tab.page.get_by_role("button", name="Second").click()
    second = str(Keypair.from_seed(bytes([2] * 32)).pubkey())
    await tab.see(f"claims go to {second[:4]}…{second[-4:]}")
    await tab.see(f"{first[:4]}…{first[-4:]}")
    assert scripted.wallets[-1]["wallet"] == second
    await tab.looks_right("wallet-waits")


async def test_a_change_that_waits_is_shown_and_ends_where_the_owner_keeps_the_wallet(
    visit: Visit, scripted: ScriptedClaims
) -> None:
    scripted.waiting_time = timedelta(days=1)
    tab = await (await visit()).sign_in()
    await tab.connect()
    thief = str(Keypair().pubkey())
    scripted.wallets.append({"wallet": thief, "bound_at": "2026-01-01T00:00:00.000Z", "effective_at": LATER})
    await tab.page.reload()
    await tab.see("A change of wallet waits.")
    await tab.see(f"claims go to {thief[:4]}…{thief[-4:]}")
    await tab.looks_right("wallet-change-waits")
    await tab.page.evaluate("mockWallet.refuse = 'signIn'")
    await tab.page.get_by_role("button", name="Keep my wallet").click()
    await tab.see("You said no in Testwallet.")
    await tab.page.get_by_role("button", name="Try again").click()
    await tab.said("Your wallet is connected.")
    await expect(tab.page.get_by_text("A change of wallet waits.")).to_have_count(0)
    assert [one["wallet"] for one in scripted.wallets] == [WALLET, thief, WALLET]


async def test_only_the_wallet_in_force_can_keep_itself(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.waiting_time = timedelta(days=1)
    tab = await (await visit()).sign_in()
    first, thief = str(Keypair().pubkey()), str(Keypair().pubkey())
    long_ago = "2026-01-01T00:00:00.000Z"
    scripted.wallets.append({"wallet": first, "bound_at": long_ago, "effective_at": long_ago})
    scripted.wallets.append({"wallet": thief, "bound_at": long_ago, "effective_at": LATER})
    await tab.page.reload()
    await tab.page.get_by_role("button", name="Keep my wallet").click()
    await tab.see(f"Testwallet does not hold {first[:4]}…{first[-4:]}.")
    assert len(scripted.wallets) == 2
    await tab.page.get_by_role("button", name="Not now").click()
    await expect(tab.page.get_by_role("button", name="Keep my wallet")).to_be_visible()


async def test_a_viewer_who_pays_signs_the_servers_transaction(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.fee = "viewer"
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("Signed. Next")
    assert await tab.page.evaluate("mockWallet.asked") == ["connect", "signIn", "signTransaction"]
    assert len(scripted.submitted) == 1 and scripted.claims[0]["fee"] == "viewer"
    await scripted.step("sent")
    await scripted.step("confirmed")
    await tab.see("It is in your wallet, for good.")


async def test_a_payment_that_was_refused_is_signed_after_a_reload(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.fee = "viewer"
    tab = await (await visit()).sign_in()
    await tab.connect()
    await tab.page.evaluate("mockWallet.refuse = 'signTransaction'")
    await tab.page.get_by_role("button", name="Claim 4,356 CHAT").click()
    await tab.see("The hours stay reserved for you.")
    await tab.looks_right("sign-refused")
    assert scripted.submitted == []
    await tab.page.reload()
    await tab.page.get_by_role("button", name="Sign in your wallet").click()
    await tab.see("Signed. Next")
    assert len(scripted.submitted) == 1 and len(scripted.claims) == 1


async def test_a_payment_for_another_account_is_not_signed(visit: Visit, scripted: ScriptedClaims) -> None:
    scripted.fee = "viewer"
    other = str(Keypair().pubkey())
    tab = await (await visit()).sign_in()
    await tab.connect()
    scripted.claims.append(scripted.made_claim(scripted.hours[:1], other, "viewer"))
    await tab.page.reload()
    await tab.page.get_by_role("button", name="Sign in your wallet").click()
    await tab.see(f"Testwallet does not hold {other[:4]}…{other[-4:]}")
    assert "signTransaction" not in await tab.page.evaluate("mockWallet.asked")
    assert other != WALLET
