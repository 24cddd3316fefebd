"""A typed client of this API for Python programs: what was earned, claims, and how to wait for them.

In: the address of a server and the value of a session's cookie, which a browser got by signing in. Out: structs of
docs/claims.md, HTTP, or an ApiFault that says what the server said. Fields that a newer server adds are passed over.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, Final, Literal, TypeVar

import aiohttp
import msgspec

from schemas.errors import TwzrdError

T = TypeVar("T")

COOKIE: Final = "twzrd-session"
SECURE_COOKIE: Final = "__Host-twzrd-session"
TIMEOUT_S: Final = 30.0
MAX_ANSWER_BYTES: Final = 16 << 20
WAIT_MS: Final = 10_000
"""Longest wait within one request; the server's bound."""

ClaimState = Literal["reserved", "signed", "confirmed", "held"]
DONE: Final = ("confirmed", "held")


class Amount(msgspec.Struct, frozen=True):
    """base_units: digits; 10^9 are one CHAT. display: for people."""

    base_units: str
    display: str

    @property
    def value(self) -> int:
        """Base units as a number."""
        return int(self.base_units)


class Totals(msgspec.Struct, frozen=True):
    entitled: Amount
    claimed: Amount
    pending: Amount
    claimable: Amount


class Allocation(msgspec.Struct, frozen=True):
    """One hour in one channel, of one revision."""

    seal_id: int
    channel: str
    login: str
    epoch_start_s: int
    revision: int
    leaf_index: int
    weight_centi: str
    base_units: str
    display: str
    state: Literal["claimable", "pending", "claimed"]
    stopped: bool
    claim_id: int | None
    observed_ms: int
    absent_ms: int
    epoch_length_s: int
    proof: str
    evidence: str


class Eligibility(msgspec.Struct, frozen=True):
    """One page, newest first; totals are of all."""

    viewer: str
    totals: Totals
    allocations: list[Allocation]
    next_before: int | None


class Week(msgspec.Struct, frozen=True):
    week_start_s: int
    base_units: str
    display: str
    hours: int
    observed_ms: int


class Binding(msgspec.Struct, frozen=True):
    wallet: str
    bound_at: str
    effective_at: str


class Me(msgspec.Struct, frozen=True):
    viewer: str
    login: str
    display_name: str
    csrf: str
    session_expires_at: str
    wallet: Binding | None
    next_wallet: Binding | None
    cluster: str
    mint: str | None
    fee: Literal["server", "viewer"]
    frozen: bool


class ClaimedHour(msgspec.Struct, frozen=True):
    channel: str
    login: str
    epoch_start_s: int
    revision: int
    base_units: str


class Step(msgspec.Struct, frozen=True):
    step: str
    at: str


class Claim(msgspec.Struct, frozen=True):
    claim_id: int
    state: ClaimState
    wallet: str
    base_units: str
    display: str
    fee: str
    allocations: list[ClaimedHour]
    steps: list[Step]
    signature: str | None
    explorer_url: str | None
    held_because: str | None


class _Weeks(msgspec.Struct):
    weeks: list[Week]


class _Claims(msgspec.Struct):
    claims: list[Claim]
    next_before: int | None


class _Said(msgspec.Struct):
    code: str
    message: str = ""
    mend: str = ""


class ApiFault(TwzrdError):
    """The server refused. status: HTTP; code: a stable word; message, mend: for people. retry_after_s: where it said
    when to try again."""

    def __init__(self, status: int, code: str, message: str, mend: str, retry_after_s: int | None = None) -> None:
        super().__init__(f"{code}: {message}; {mend}")
        self.status, self.code, self.message, self.mend = status, code, message, mend
        self.retry_after_s = retry_after_s


class SignInRequired(ApiFault):
    """401: there is no session, or it is over."""


class RateLimited(ApiFault):
    """429: see retry_after_s."""


class Unavailable(ApiFault):
    """503: away, frozen, or a bound is reached; trying again is safe."""


class Unreachable(TwzrdError):
    """No answer, or none that is this API's."""


class Client:
    """One session with one server; an async context manager. base: for example https://rewards.example."""

    def __init__(self, base: str, session_cookie: str = "", *, timeout_s: float = TIMEOUT_S) -> None:
        self._base, self._csrf = base.rstrip("/"), ""
        name = SECURE_COOKIE if self._base.startswith("https://") else COOKIE
        self._headers = {"cookie": f"{name}={session_cookie}"} if session_cookie else {}
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Client":
        # A jar of its own would answer with cookies of other people's sessions.
        self._http = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def me(self) -> Me:
        """Who is signed in; the CSRF token is kept for what changes something."""
        found = await self._get("/v1/me", Me)
        self._csrf = found.csrf
        return found

    async def eligibility(self, before: int | None = None, limit: int | None = None) -> Eligibility:
        """One page of what was earned."""
        return await self._get("/v1/eligibility", Eligibility, before=before, limit=limit)

    async def allocations(self, limit: int = 1000) -> AsyncIterator[Allocation]:
        """All of it, newest first, page by page."""
        before: int | None = None
        while True:
            page = await self.eligibility(before, limit)
            for one in page.allocations:
                yield one
            if page.next_before is None:
                return
            before = page.next_before

    async def weeks(self) -> list[Week]:
        """The last 26, oldest first."""
        return (await self._get("/v1/eligibility/weeks", _Weeks)).weeks

    async def proof(self, allocation: Allocation) -> bytes:
        """The bundle of one's own leaf: `twzrd verify` checks it."""
        return await self._ask("GET", allocation.proof)

    async def claim(
        self, allocations: Sequence[Allocation] | Literal["all"] = "all", fee: Literal["server", "viewer"] | None = None
    ) -> Claim:
        """Reserve these; what pays them follows. Each is claimed once, however often this is called."""
        named: Any = "all"
        if allocations != "all":
            named = [
                {"channel": one.channel, "epoch_start_s": one.epoch_start_s, "revision": one.revision}
                for one in allocations
            ]
        return await self._post("/v1/claims", {"allocations": named, "fee": fee}, Claim)

    async def claims(self, before: int | None = None, limit: int | None = None) -> list[Claim]:
        """One page, newest first, from below claim `before`."""
        return (await self._get("/v1/claims", _Claims, before=before, limit=limit)).claims

    async def claim_now(self, claim_id: int) -> Claim:
        """A claim as it is."""
        return await self._get(f"/v1/claims/{claim_id}", Claim)

    async def until_done(self, claim: Claim, timeout_s: float = 120.0) -> Claim:
        """The claim when it is confirmed or held. Raises TimeoutError where it is still under way then."""
        async with asyncio.timeout(timeout_s):
            while claim.state not in DONE:
                path = f"/v1/claims/{claim.claim_id}"
                claim = await self._get(path, Claim, seen=claim.state, wait_ms=WAIT_MS)
        return claim

    async def _get(self, path: str, form: type[T], **query: Any) -> T:
        given = {name: str(value) for name, value in query.items() if value is not None}
        return _decoded(await self._ask("GET", path, params=given), form)

    async def _post(self, path: str, body: Any, form: type[T]) -> T:
        if not self._csrf:
            await self.me()
        return _decoded(await self._ask("POST", path, json=body, headers={"x-csrf-token": self._csrf}), form)

    async def _ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> bytes:
        assert self._http is not None, "use it in an async with block"
        sent = {**self._headers, **(headers or {})}
        try:
            async with self._http.request(
                method, self._base + path, headers=sent, allow_redirects=False, **more
            ) as answer:
                body = await answer.content.read(-1) if answer.content_length is None else await answer.read()
                if len(body) > MAX_ANSWER_BYTES:
                    raise Unreachable(f"{path}: an answer of {len(body)} bytes, over {MAX_ANSWER_BYTES}")
                if answer.status >= 300:
                    raise _fault(answer.status, body, answer.headers.get("retry-after", ""))
                return body
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{self._base}{path} does not answer: {type(error).__name__}: {error}") from error


def _decoded(body: bytes, form: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreachable(f"the answer is not of the documented form: {error}") from error


def _fault(status: int, body: bytes, retry_after: str) -> ApiFault:
    said = _decoded(body, _Said) if body else _Said("unknown")
    after_s = int(retry_after) if retry_after.isdecimal() else None
    kind = {401: SignInRequired, 429: RateLimited, 503: Unavailable}.get(status, ApiFault)
    return kind(status, said.code, said.message, said.mend, after_s)
