"""The claim of `twzrd demo`: what a newcomer does on the page, done over HTTP, and timed.

In: the API with its simulated Twitch, a viewer with sealed hours. Out: tokens in a wallet made on the spot, and the
chain's own word for it.
"""

import time
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from rich.console import Console
from solders.keypair import Keypair
from yarl import URL

from claim_api.payments.view import display
from infra import databases
from infra.cli.output import harmless
from infra.demo_chain import DemoChain, DemoError
from streams.collect.simulation.people import Person, person
from streams.log.named_sql import load

SHOWN_PEOPLE: Final = 12
"""Simulated viewers that the local Twitch offers a newcomer: those who say most."""
KNOWN_PEOPLE: Final = 400
"""Those it knows; the demo's own claim is of somebody who is not offered."""
WAIT_MS: Final = 10_000
LONGEST_S: Final = 60.0
QUERIES: Final = Path(__file__).with_name("demo.sql")
KEPT: Final = ("response_type", "client_id", "redirect_uri", "scope", "state")


@dataclass(frozen=True, slots=True)
class Claimed:
    """What came of it. balance_base_units: read from the chain; took_s: from the click to the confirmation seen."""

    login: str
    wallet: str
    display: str
    allocations: int
    signature: str
    balance_base_units: int
    took_s: float


def known_people() -> list[Person]:
    """Whom the local Twitch signs in."""
    return [person(number) for number in range(KNOWN_PEOPLE)]


async def somebody(dsn: str, people: Sequence[Person]) -> Person | None:
    """The first of them with something to claim and no wallet yet."""
    by_key = {one.user_id: one for one in people}
    async with databases.connected(dsn) as connection:
        rows = await connection.fetch(load(QUERIES)["claimants"], list(by_key), 1)
    return by_key[rows[0]["viewer_key"]] if rows else None


async def invite(console: Console, base: str, dsn: str, chain: DemoChain) -> None:
    """How a newcomer claims on the page."""
    viewer = await somebody(dsn, known_people()) or person(0)
    console.print(
        f"claim as a viewer, in a browser: {base}/claim\n"
        f"  sign in (it is a simulated Twitch) as {harmless(viewer.login)},\n"
        '  take the "Demo wallet" and press Claim: the tokens are there a second later,\n'
        f"  of mint {chain.mint} on a chain of this machine",
        highlight=False,
    )


async def prove(console: Console, base: str, dsn: str, chain: DemoChain) -> None:
    """Claim for somebody, and say what came of it. Raises DemoError."""
    viewer = await somebody(dsn, known_people()[SHOWN_PEOPLE:])
    if viewer is None:
        raise DemoError("every simulated viewer of this home has a wallet already; give another one with --home")
    done = await claim(base, viewer, chain)
    console.print(
        f"claimed over HTTP and paid on the local chain: {harmless(done.login)} signed in,\n"
        f"  bound wallet {done.wallet},\n"
        f"  claimed {done.display} CHAT of {done.allocations} hours\n"
        f"  signature {done.signature}\n"
        f"  balance read from the chain: {display(done.balance_base_units)} CHAT\n"
        f"  from click to confirmed: {done.took_s:.2f} s",
        highlight=False,
    )


async def claim(base: str, viewer: Person, chain: DemoChain) -> Claimed:
    """Signs in, binds a new wallet, claims everything, waits. base: the API as browsers see it. Raises DemoError."""
    wallet = Keypair()
    jar = aiohttp.CookieJar(unsafe=True)  # of addresses without a name
    timeout = aiohttp.ClientTimeout(total=LONGEST_S)
    async with aiohttp.ClientSession(cookie_jar=jar, timeout=timeout) as session:
        browser = _Browser(session, base)
        await browser.sign_in(viewer.login)
        await browser.bind(wallet)
        began_s = time.monotonic()
        made = await browser.change("/v1/claims", {"allocations": "all"})
        while made["state"] != "confirmed":
            if made["state"] == "held" or time.monotonic() - began_s > LONGEST_S:
                raise DemoError(f"claim {made['claim_id']} is {made['state']} ({made['held_because']}); see above")
            query = {"seen": made["state"], "wait_ms": str(WAIT_MS)}
            made = await browser.get(f"/v1/claims/{made['claim_id']}", query)
        took_s = time.monotonic() - began_s
    balance = await chain.balance_base_units(wallet.pubkey())
    if balance != int(made["base_units"]):
        raise DemoError(f"the chain says {balance} base units of {wallet.pubkey()}, the claim {made['base_units']}")
    return Claimed(
        viewer.login,
        made["wallet"],
        made["display"],
        len(made["allocations"]),
        made["signature"],
        balance,
        took_s,
    )


class _Browser:
    """A browser with a session, as the page is one."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session, self._base, self._csrf = session, base, ""

    async def sign_in(self, login: str) -> None:
        """The way through the local Twitch."""
        start = f"{self._base}/auth/twitch/login?return=/v1/me"
        async with self._session.get(start, allow_redirects=False) as answer:
            asked = URL(answer.headers.get("location", ""))
        form = {name: asked.query.get(name, "") for name in KEPT} | {"user": login}
        async with self._session.post(asked.with_query(None), data=form) as answer:
            if answer.status != 200 or answer.url.origin() != URL(self._base).origin():
                raise DemoError(f"signing in as {login} ended at {answer.url} with {answer.status}")
            me = await answer.json()
        if me["login"] != login:
            raise DemoError(f"signed in as {me['login']}, not as {login}")
        self._csrf = me["csrf"]

    async def bind(self, wallet: Keypair) -> None:
        """Sign-In With Solana."""
        asked = await self.change("/v1/wallet/challenge", {"wallet": str(wallet.pubkey())})
        message = asked["message"].encode()
        signed = {
            "nonce": asked["nonce"],
            "signed_message": b64encode(message).decode(),
            "signature": b64encode(bytes(wallet.sign_message(message))).decode(),
            "form": "siws",
        }
        await self.change("/v1/wallet", signed)

    async def change(self, path: str, body: dict[str, Any]) -> Any:
        """POST of the page."""
        headers = {"x-csrf-token": self._csrf, "origin": self._base, "sec-fetch-site": "same-origin"}
        async with self._session.post(self._base + path, json=body, headers=headers) as answer:
            return await _good(answer)

    async def get(self, path: str, query: dict[str, str]) -> Any:
        async with self._session.get(self._base + path, params=query) as answer:
            return await _good(answer)


async def _good(answer: aiohttp.ClientResponse) -> Any:
    body = await answer.json()
    if answer.status >= 400:
        raise DemoError(f"{answer.url.path} answered {answer.status}: {body.get('message', body)}")
    return body
