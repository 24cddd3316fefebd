"""The claim side's HTTP as docs/claims.md has it, without database, Twitch or chain: what the page meets, on command.

In: the page's requests, and what a test says happens next. Out: the documented shapes, served by the API's own router
and server. Sessions, CSRF, challenges, signatures, reservations of one use and long polls are real; time is the test's.
"""

import asyncio
import secrets
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import Transaction

from claim_api.answer import Answer, answer, json_answer
from claim_api.errors import ApiError
from claim_api.request import Request
from claim_api.routing import ANY, Route
from tests.browser.made_hours import MadeHour, display

COOKIE = "sid"
WAIT_MS = 10_000
Handler = Callable[..., Awaitable[Answer]]


@dataclass
class ScriptedClaims:
    """One viewer's world. What is public here is what a test may set and look at."""

    hours: list[MadeHour]
    identity: str = "twitch:id:1007"
    login: str = "viewer1007"
    display_name: str = "Ann_ö"
    cluster: str = "localnet"
    fee: str = "server"
    mint: str | None = "So11111111111111111111111111111111111111112"
    frozen: bool = False
    waiting_time: timedelta = timedelta(0)
    page_rows: int = 1000
    sign_in_fails: str | None = None
    """The code that the next sign-in ends with."""
    refusals: dict[str, list[ApiError]] = field(default_factory=dict)
    """By the route's name: what its next requests are answered with."""
    sessions: dict[str, str] = field(default_factory=dict)
    wallets: list[dict[str, str]] = field(default_factory=list)
    claims: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Names of the routes that were asked, in order."""
    submitted: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = asyncio.Condition()
        self._challenges: dict[str, str] = {}
        self._fee_payer = Keypair()
        self._unsigned: dict[int, Transaction] = {}

    # ---- what a test does --------------------------------------------------------------------------------------

    async def step(self, step: str, claim_id: int | None = None) -> None:
        """The claim goes on to `signed`, `sent`, `confirmed` or `held`."""
        claim = self.claims[0] if claim_id is None else next(one for one in self.claims if one["claim_id"] == claim_id)
        if step == "held":
            claim |= {"state": "held", "held_because": "wrong_answer"}
        else:
            claim["steps"].append({"step": step, "at": iso(datetime.now(UTC))})
            claim["state"] = "confirmed" if step == "confirmed" else "signed"
            if claim["signature"] is None:
                claim["signature"] = str(Signature(secrets.token_bytes(64)))
                claim["explorer_url"] = f"https://explorer.solana.com/tx/{claim['signature']}?cluster=devnet"
        async with self._changed:
            self._changed.notify_all()

    async def all_steps(self) -> None:
        """To the end."""
        for step in ("signed", "sent", "confirmed"):
            await self.step(step)

    def end_sessions(self) -> None:
        """Nobody is signed in any more."""
        self.sessions.clear()

    # ---- the part ----------------------------------------------------------------------------------------------

    def routes(self) -> Sequence[Route]:
        """As docs/claims.md, HTTP."""

        def route(name: str, path: str, **methods: Handler) -> Route:
            return Route(name, path, {method: self._noted(name, handler) for method, handler in methods.items()})

        one = f"v1/claims/{ANY}"
        return (
            route("sign_in", "auth/twitch/login", GET=self.sign_in),
            route("sign_out", "auth/sign-out", POST=self.sign_out),
            route("me", "v1/me", GET=self.me),
            route("opt_out", "v1/opt-out", POST=self.opt_out),
            route("challenge", "v1/wallet/challenge", POST=self.challenge),
            route("wallet", "v1/wallet", POST=self.bind),
            route("eligibility", "v1/eligibility", GET=self.eligibility),
            route("weeks", "v1/eligibility/weeks", GET=self.weeks),
            route("proof", "v1/me/proof", GET=self.proof),
            route("claims", "v1/claims", GET=self.list, POST=self.claim),
            route("claim", one, GET=self.one),
            route("transaction", f"{one}/transaction", GET=self.transaction, POST=self.submit),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Long polls end."""
        async with self._changed:
            self._changed.notify_all()

    def _noted(self, name: str, handler: Handler) -> Handler:
        async def noted(request: Request, *captured: str) -> Answer:
            self.asked.append(name)
            if self.refusals.get(name):
                raise self.refusals[name].pop(0)
            return await handler(request, *captured)

        return noted

    def _session(self, request: Request, *, changing: bool = False) -> str:
        cookies = (request.header(b"cookie") or b"").decode().split("; ")
        sid = next((one.removeprefix(f"{COOKIE}=") for one in cookies if one.startswith(f"{COOKIE}=")), "")
        if sid not in self.sessions:
            raise ApiError(401, "sign_in_required", "the session is over", "sign in at /auth/twitch/login")
        if changing and (request.header(b"x-csrf-token") or b"").decode() != self.sessions[sid]:
            raise ApiError(403, "csrf", "x-csrf-token is missing or not this session's", "GET /v1/me says it")
        return sid

    async def sign_in(self, request: Request) -> Answer:
        back = request.query(("return",))["return"]
        made = answer(b"", status=302)
        if self.sign_in_fails:
            back, self.sign_in_fails = f"{back}?sign_in={self.sign_in_fails}", None
        else:
            sid = secrets.token_hex(16)
            self.sessions = {sid: secrets.token_hex(16)}
            made.headers.append((b"set-cookie", f"{COOKIE}={sid}; Path=/; HttpOnly; SameSite=Lax".encode()))
        made.headers.append((b"location", back.encode()))
        return made

    async def sign_out(self, request: Request) -> Answer:
        del self.sessions[self._session(request, changing=True)]
        return Answer(204, [], b"")

    async def opt_out(self, request: Request) -> Answer:
        self._session(request, changing=True)
        self.sessions = {}
        return json_answer({"viewer": self.identity, "opted_out": True}, status=202)

    async def me(self, request: Request) -> Answer:
        csrf = self.sessions[self._session(request)]
        in_force, following = self._bound(iso(datetime.now(UTC)))
        return json_answer(
            {
                "viewer": self.identity,
                "login": self.login,
                "display_name": self.display_name,
                "csrf": csrf,
                "session_expires_at": iso(datetime.now(UTC) + timedelta(days=7)),
                "wallet": in_force,
                "next_wallet": following,
                "cluster": self.cluster,
                "mint": self.mint,
                "fee": self.fee,
                "frozen": self.frozen,
            }
        )

    def _bound(self, now: str) -> tuple[dict[str, str] | None, dict[str, str] | None]:
        """In force, and what comes first after it."""
        newest = max((n for n, one in enumerate(self.wallets) if one["effective_at"] <= now), default=-1)
        later = min(self.wallets[newest + 1 :], key=lambda one: one["effective_at"], default=None)
        return self.wallets[newest] if newest >= 0 else None, later

    async def challenge(self, request: Request) -> Answer:
        self._session(request, changing=True)
        wallet = (await _json(request))["wallet"]
        host, now = (request.header(b"host") or b"").decode(), datetime.now(UTC)
        said = {
            "domain": host,
            "address": wallet,
            "statement": "Pay the rewards of my Twitch account to this wallet.",
            "uri": f"http://{host}",
            "version": "1",
            "chainId": self.cluster,
            "nonce": secrets.token_hex(16),
            "issuedAt": iso(now),
            "expirationTime": iso(now + timedelta(minutes=10)),
            "resources": [self.identity],
        }
        message = (
            f"{host} wants you to sign in with your Solana account:\n{wallet}\n\n{said['statement']}\n\n"
            f"URI: {said['uri']}\nVersion: 1\nChain ID: {self.cluster}\nNonce: {said['nonce']}\n"
            f"Issued At: {said['issuedAt']}\nExpiration Time: {said['expirationTime']}\nResources:\n- {self.identity}"
        )
        self._challenges[str(said["nonce"])] = message
        return json_answer(
            {"input": said, "message": message, "nonce": said["nonce"], "expires_at": said["expirationTime"]}
        )

    async def bind(self, request: Request) -> Answer:
        self._session(request, changing=True)
        said = await _json(request)
        message = self._challenges.pop(said["nonce"], "")
        signed, signature = b64decode(said["signed_message"]), b64decode(said["signature"])
        wallet = message.split("\n")[1] if message else ""
        text = signed if said["form"] == "siws" else signed[-len(message.encode()) :]
        of_form = (said["form"] == "off-chain") == (signed[:1] == b"\xff")
        good = message and text == message.encode() and of_form
        if not good or not Signature(signature).verify(Pubkey.from_string(wallet), signed):
            raise ApiError(400, "wallet_refused", "the message is not the challenge's", "sign it as it stands")
        now = datetime.now(UTC)
        in_force = self._bound(iso(now))[0]
        other = self.wallets and (in_force is None or in_force["wallet"] != wallet)
        effective = now + (self.waiting_time if other else timedelta(0))
        self.wallets.append({"wallet": wallet, "bound_at": iso(now), "effective_at": iso(effective)})
        return json_answer({"wallet": wallet, "effective_at": iso(effective)})

    async def eligibility(self, request: Request) -> Answer:
        self._session(request)
        fields = request.query(("before", "limit"))
        after = [one for one in self.hours if one.seal_id < int(fields.get("before", 10**9))]
        shown = after[: min(self.page_rows, int(fields.get("limit", 100)))]
        states = {one.key: self._state(one) for one in self.hours}

        def total(*wanted: str) -> dict[str, str]:
            units = sum(one.base_units for one in self.hours if states[one.key][0] in wanted)
            return {"base_units": str(units), "display": display(units)}

        return json_answer(
            {
                "viewer": self.identity,
                "totals": {
                    "entitled": total("claimable", "pending", "claimed"),
                    **{name: total(name) for name in ("claimed", "pending", "claimable")},
                },
                "allocations": [
                    {**one.allocation(), "state": states[one.key][0], "claim_id": states[one.key][1]} for one in shown
                ],
                "next_before": shown[-1].seal_id if len(after) > len(shown) else None,
            }
        )

    def _state(self, hour: MadeHour) -> tuple[str, int | None]:
        for claim in self.claims:
            if any((a["channel"], a["epoch_start_s"], a["revision"]) == hour.key for a in claim["allocations"]):
                return "claimed" if claim["state"] == "confirmed" else "pending", claim["claim_id"]
        return "claimable", None

    async def weeks(self, request: Request) -> Answer:
        self._session(request)
        week_s = 7 * 86_400
        newest = max((one.epoch_start_s for one in self.hours), default=1_760_000_400)
        first = (newest - 345_600) // week_s * week_s + 345_600 - 25 * week_s
        found = []
        for start in range(first, first + 26 * week_s, week_s):
            hours = [one for one in self.hours if start <= one.epoch_start_s < start + week_s]
            units = sum(one.base_units for one in hours)
            found.append(
                {
                    "week_start_s": start,
                    "base_units": str(units),
                    "display": display(units),
                    "hours": len(hours),
                    "observed_ms": sum(one.observed_ms for one in hours),
                }
            )
        return json_answer({"weeks": found})

    async def proof(self, request: Request) -> Answer:
        self._session(request)
        said = request.query(("channel", "epoch", "revision"))
        key = said["channel"], int(said["epoch"]), int(said["revision"])
        return answer(next(one for one in self.hours if one.key == key).bundle(self.identity))

    async def claim(self, request: Request) -> Answer:
        self._session(request, changing=True)
        said = await _json(request)
        now = iso(datetime.now(UTC))
        wallet = next((one["wallet"] for one in reversed(self.wallets) if one["effective_at"] <= now), None)
        if wallet is None:
            raise ApiError(409, "no_wallet", "no wallet in force", "bind one")
        keys = None if said["allocations"] == "all" else [_key(one) for one in said["allocations"]]
        wanted = [
            one for one in self.hours if (self._state(one)[0] == "claimable" if keys is None else one.key in keys)
        ]
        if not wanted:
            raise ApiError(409, "nothing_to_claim", "nothing is left", "come back later")
        if any(self._state(one)[0] != "claimable" for one in wanted):
            raise ApiError(409, "already_claimed", "some are claimed", "look at GET /v1/claims")
        claim = self.made_claim(wanted, wallet, said["fee"])
        self.claims.insert(0, claim)
        return json_answer(claim, status=201)

    def made_claim(self, hours: Sequence[MadeHour], wallet: str, fee: str = "server") -> dict[str, Any]:
        """A reserved claim of these hours."""
        units = sum(one.base_units for one in hours)
        return {
            "claim_id": len(self.claims) + 1,
            "state": "reserved",
            "wallet": wallet,
            "base_units": str(units),
            "display": display(units),
            "fee": fee,
            "allocations": [one.named() for one in hours],
            "steps": [{"step": "reserved", "at": iso(datetime.now(UTC))}],
            "signature": None,
            "explorer_url": None,
            "held_because": None,
        }

    async def list(self, request: Request) -> Answer:
        self._session(request)
        fields = request.query(("before", "limit"))
        before, limit = int(fields.get("before", 10**9)), int(fields.get("limit", 20))
        found = [one for one in self.claims if one["claim_id"] < before]
        return json_answer(
            {"claims": found[:limit], "next_before": found[limit - 1]["claim_id"] if len(found) > limit else None}
        )

    async def one(self, request: Request, claim_id: str) -> Answer:
        self._session(request)
        fields = request.query(("seen", "wait_ms"))
        claim = self._claim(claim_id)
        wait_s = int(fields.get("wait_ms", WAIT_MS)) / 1000
        try:
            async with asyncio.timeout(wait_s), self._changed:
                while claim["state"] == fields.get("seen"):
                    await self._changed.wait()
        except TimeoutError:
            pass
        self._session(request)
        return json_answer(claim)

    def _claim(self, claim_id: str) -> dict[str, Any]:
        found = next((one for one in self.claims if str(one["claim_id"]) == claim_id), None)
        if found is None:
            raise ApiError(404, "unknown_claim", f"you have no claim {claim_id}", "list them at /v1/claims")
        return found

    async def transaction(self, request: Request, claim_id: str) -> Answer:
        self._session(request)
        claim = self._claim(claim_id)
        owner = Pubkey.from_string(claim["wallet"])
        pays = transfer(TransferParams(from_pubkey=owner, to_pubkey=self._fee_payer.pubkey(), lamports=1))
        also = transfer(TransferParams(from_pubkey=self._fee_payer.pubkey(), to_pubkey=owner, lamports=1))
        made = Transaction.new_unsigned(Message.new_with_blockhash([pays, also], owner, Hash(secrets.token_bytes(32))))
        self._unsigned[claim["claim_id"]] = made
        return json_answer({"transaction": b64encode(bytes(made)).decode()})

    async def submit(self, request: Request, claim_id: str) -> Answer:
        self._session(request, changing=True)
        claim = self._claim(claim_id)
        signed = Transaction.from_bytes(b64decode((await _json(request))["transaction"]))
        asked = self._unsigned[claim["claim_id"]]
        owner = Pubkey.from_string(claim["wallet"])
        if signed.message != asked.message or not signed.signatures[0].verify(owner, signed.message_data()):
            raise ApiError(409, "wrong_transaction", "another transaction", "sign that one")
        self.submitted.append(bytes(signed))
        await self.step("signed", claim["claim_id"])
        return json_answer(claim)


def iso(at: datetime) -> str:
    """As everywhere in the API."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _key(said: dict[str, Any]) -> tuple[str, int, int]:
    return said["channel"], said["epoch_start_s"], said["revision"]


async def _json(request: Request) -> dict[str, Any]:
    return await request.json(dict[str, Any])
