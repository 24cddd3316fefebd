"""How a browser binds a wallet, for tests: challenge, signature, binding."""

from base64 import b64encode
from typing import Any

from solders.keypair import Keypair

from tests.integration.claim_api.identity.conftest import Browser, Reply, Site

KEY = Keypair.from_seed(b"\x01" * 32)
SECOND = Keypair.from_seed(b"\x02" * 32)


def b64(data: bytes) -> str:
    return b64encode(data).decode()


async def signed_in(site: Site, login: str = "ann") -> Browser:
    browser = site.browser()
    await browser.sign_in(login)
    return browser


async def challenge(browser: Browser, key: Keypair = KEY) -> dict[str, Any]:
    reply = await browser.post("/v1/wallet/challenge", {"wallet": str(key.pubkey())})
    assert reply.status == 200, reply.body
    return dict(reply.json)


def proof(
    given: dict[str, Any], key: Keypair = KEY, message: bytes | None = None, form: str = "siws"
) -> dict[str, str]:
    said = given["message"].encode() if message is None else message
    signature = bytes(key.sign_message(said))
    return {"nonce": given["nonce"], "signed_message": b64(said), "signature": b64(signature), "form": form}


async def bind(browser: Browser, key: Keypair = KEY) -> Reply:
    return await browser.post("/v1/wallet", proof(await challenge(browser, key), key))
