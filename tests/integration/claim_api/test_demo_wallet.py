"""The demo wallet in Chromium: found by the Wallet Standard, it signs what the server takes, and says what it is."""

import base64
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, async_playwright
from solders.hash import Hash
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from claim_api.config import ApiConfig
from claim_api.page.demo_wallet import DemoWallet, DemoWalletError, with_wallet
from claim_api.server import running
from claim_api.wallets import siws
from streams.chain import signing
from streams.chain.terms import build_message
from tests.payments import terms

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"
INDEX = b'<!doctype html><html lang="en"><head><title>x</title></head><body><header></header></body></html>'
FIND = """() => new Promise((resolve) => {
  const found = ({ detail }) => detail({ register: (wallet) => { window.wallet = wallet; resolve(wallet.name); } });
  addEventListener("wallet-standard:register-wallet", found);
  dispatchEvent(new CustomEvent("wallet-standard:app-ready", { detail: { register: (wallet) => {
    window.wallet = wallet; resolve(wallet.name); } } }));
})"""
CONNECT = """async () => {
  const { accounts } = await wallet.features["standard:connect"].connect();
  return accounts[0].address;
}"""
TO_BASE64 = "(bytes) => btoa(String.fromCharCode(...bytes))"
SIGN_IN = f"""async (input) => {{
  const b64 = {TO_BASE64};
  const [one] = await wallet.features["solana:signIn"].signIn(input);
  return [b64(one.signedMessage), b64(one.signature)];
}}"""
SIGN_MESSAGE = f"""async (text) => {{
  const b64 = {TO_BASE64};
  const input = {{ account: wallet.accounts[0], message: new TextEncoder().encode(text) }};
  const [one] = await wallet.features["solana:signMessage"].signMessage(input);
  return [b64(one.signedMessage), b64(one.signature)];
}}"""
SIGN_TRANSACTION = f"""async (text) => {{
  const b64 = {TO_BASE64};
  const transaction = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const input = {{ account: wallet.accounts[0], transaction }};
  const [one] = await wallet.features["solana:signTransaction"].signTransaction(input);
  return b64(one.signedTransaction);
}}"""


def test_it_is_offered_on_a_local_chain_only(tmp_path: Path) -> None:
    for cluster in ("mainnet", "devnet", "testnet"):
        with pytest.raises(DemoWalletError, match=f"TWZRD_DEMO_WALLET=on .* paid on {cluster}"):
            DemoWallet(cluster)
    with pytest.raises(DemoWalletError, match="no end of its head"):
        with_wallet(b"<html><body></body></html>")


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    """The page with the wallet in it, open; every question of the wallet is answered with yes."""
    assert BROWSER is not None
    index = tmp_path / "index.html"
    index.write_bytes(INDEX)
    config = ApiConfig(dsn=NO_DATABASE, port=0, fast_hashing=False)
    async with running(config, parts=[DemoWallet("localnet", index)]) as url, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        opened = await (await browser.new_context()).new_page()
        await opened.goto(url + "/claim?sign_in=state")
        yield opened
        await browser.close()


def said_yes(page: Page) -> list[str]:
    asked: list[str] = []

    async def answer(dialog: Any) -> None:
        asked.append(dialog.message)
        await dialog.accept()

    page.on("dialog", answer)
    return asked


needs_browser = pytest.mark.skipif(
    BROWSER is None, reason="NOT TESTED IN A BROWSER: no chromium; apt-get install chromium"
)


@pytest.mark.browser
@needs_browser
async def test_what_it_signs_is_what_the_server_takes(page: Page) -> None:
    asked = said_yes(page)
    assert await page.evaluate(FIND) == "Demo wallet"
    assert "no real wallet" in await page.inner_text("#demo-wallet-note")
    address = await page.evaluate(CONNECT)
    domain = page.url.split("/")[2]
    now = datetime.now(UTC).replace(microsecond=0)
    wanted = siws.SignIn(
        domain=domain,
        address=address,
        uri=f"http://{domain}",
        chain_id="localnet",
        nonce="0123456789abcdef",
        issued_at=now,
        expiration_time=now + timedelta(seconds=600),
        identity="twitch:id:7",
    )
    asked_for = {
        "domain": wanted.domain,
        "statement": wanted.statement,
        "uri": wanted.uri,
        "version": wanted.version,
        "chainId": wanted.chain_id,
        "nonce": wanted.nonce,
        "issuedAt": siws.iso(wanted.issued_at),
        "expirationTime": siws.iso(wanted.expiration_time),
        "resources": [wanted.identity],
    }
    for message, signature in (
        await page.evaluate(SIGN_IN, asked_for),
        await page.evaluate(SIGN_MESSAGE, siws.build(wanted)),
    ):
        read = siws.verified(base64.b64decode(message), base64.b64decode(signature), address, domain)
        assert read == wanted
    assert len(asked) == 2 and siws.build(wanted) in asked[0]

    wallet = Pubkey.from_string(address)
    message = build_message(terms(fee="viewer", fee_payer=wallet, wallet=wallet), Hash.default())
    unsigned = signing.unsigned(message)
    signed = base64.b64decode(await page.evaluate(SIGN_TRANSACTION, base64.b64encode(unsigned).decode()))
    parsed = VersionedTransaction.from_bytes(signed)
    assert parsed.message == VersionedTransaction.from_bytes(unsigned).message
    assert parsed.signatures[0].verify(wallet, bytes(message))
    assert len(asked) == 3


@pytest.mark.browser
@needs_browser
async def test_the_key_stays_and_a_no_is_a_refusal(page: Page) -> None:
    await page.evaluate(FIND)
    first = await page.evaluate(CONNECT)
    await page.reload()
    await page.evaluate(FIND)
    assert await page.evaluate(CONNECT) == first
    # Nobody answers the question, which Playwright takes for a no.
    with pytest.raises(Exception, match="rejected the request"):
        await page.evaluate(SIGN_MESSAGE, "anything")
    with pytest.raises(Exception, match="is not this site"):
        await page.evaluate(SIGN_IN, {"domain": "elsewhere.example"})
    with pytest.raises(Exception, match="no text"):
        await page.evaluate(SIGN_MESSAGE, "\x01transaction")
