"""The part of claims: reserve, look, wait, and what a viewer signs. docs/claims.md, HTTP.

In: requests with a session. Out: Claims as JSON. The process reserves rows and reads them; what needs a key it asks of
the payer.
"""

import asyncio
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

import asyncpg
import msgspec
from msgspec import Meta

from claim_api.answer import Answer, json_answer
from claim_api.errors import ApiError, malformed
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.ledger.errors import ClaimRefused, Refusal
from claim_api.ledger.read import claim_of_viewer, claims_of_viewer, last_error
from claim_api.ledger.reserve import MAX_ALLOCATIONS, Limits, Wanted, reserve
from claim_api.ledger.rows import AllocationKey, Claim, Fee
from claim_api.limits import Limits as Rates
from claim_api.part_counters import PartCounters
from claim_api.payer.door import Given, PayerPort, PayerQuestion, PrepareFor, Submit
from claim_api.payments.view import claim_json
from claim_api.payments.waiting import Waiting
from claim_api.request import Request
from claim_api.routing import ANY, Route
from claim_api.signer.protocol import MAX_TRANSACTION_BYTES, PASSING, Code, Refused
from claim_api.unix_socket import SocketError
from claim_api.web_database import WebDatabase

MAX_WAIT_MS: Final = 10_000
STATES: Final = ("reserved", "signed", "confirmed", "held")
STATUSES: Final = {
    Refusal.NOTHING_TO_CLAIM: 409,
    Refusal.ALREADY_CLAIMED: 409,
    Refusal.NO_ALLOCATION: 404,
    Refusal.NO_WALLET: 409,
    Refusal.WALLET_NOT_IN_FORCE: 409,
    Refusal.BELOW_MINIMUM: 409,
    Refusal.TOO_LARGE: 409,
    Refusal.OVER_LIMIT: 429,
    Refusal.FROZEN: 503,
}
"""HTTP status of each refusal."""


class NamedAllocation(msgspec.Struct, forbid_unknown_fields=True):
    """One of POST /v1/claims."""

    channel: Annotated[str, Meta(max_length=64, pattern=r"^[^\x00]*$")]
    epoch_start_s: Annotated[int, Meta(ge=0, le=2**62)]
    revision: Annotated[int, Meta(ge=0, le=65_535)]


class ClaimForm(msgspec.Struct, forbid_unknown_fields=True):
    """Of POST /v1/claims. fee: none means what the server is set to."""

    allocations: Annotated[list[NamedAllocation], Meta(min_length=1, max_length=MAX_ALLOCATIONS)] | Literal["all"]
    fee: Literal["server", "viewer"] | None = None


class TransactionForm(msgspec.Struct, forbid_unknown_fields=True):
    """Of POST /v1/claims/{id}/transaction; base64."""

    transaction: Annotated[str, Meta(max_length=4 * MAX_TRANSACTION_BYTES)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimTerms:
    """What claims are paid in and how. fee: where a request names none; "viewer" means that the server pays none.
    local_node: where an explorer in the browser finds the localnet; empty elsewhere, for an address may hold a
    provider's key."""

    cluster: str
    mint: str
    fee: Literal["server", "viewer"]
    limits: Limits
    local_node: str = ""


class Claims:
    """See the module."""

    def __init__(
        self,
        database: WebDatabase,
        sessions: Sessions,
        rates: Rates,
        counters: PartCounters,
        payer: PayerPort,
        waiting: Waiting,
        terms: ClaimTerms,
    ) -> None:
        self._database, self._sessions, self._rates, self._counters = database, sessions, rates, counters
        self._payer, self._waiting, self._terms = payer, waiting, terms
        counters.gauges["claims_waited_for"] = lambda: len(waiting)

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        return (
            Route("claims", "v1/claims", {"GET": self.list, "POST": self.claim}),
            Route("claim", f"v1/claims/{ANY}", {"GET": self.one}),
            Route(
                "claim_transaction",
                f"v1/claims/{ANY}/transaction",
                {"GET": self.transaction, "POST": self.submit},
            ),
        )

    async def start(self) -> None:
        """Begins to listen for states."""
        self._waiting.start()

    async def stop(self) -> None:
        """Nobody waits any more."""
        await self._waiting.stop()

    async def claim(self, request: Request) -> Answer:
        """POST /v1/claims: 201 with the reserved claim."""
        viewer = await self._changing(request)
        form = await request.json(ClaimForm)
        fee = form.fee or self._terms.fee
        if fee == "server" and self._terms.fee == "viewer":
            raise ApiError(409, "fee_not_offered", "the server pays no fees here", 'claim with "fee": "viewer"')
        wanted: Wanted = "all"
        if form.allocations != "all":
            wanted = [AllocationKey(one.channel, one.epoch_start_s, one.revision) for one in form.allocations]
        return json_answer(self._shown(await self.reserved(viewer.viewer_key, None, fee, wanted)), status=201)

    async def reserved(self, viewer_key: int, wallet: str | None, fee: Fee, wanted: Wanted) -> Claim:
        """A new claim of that viewer. Raises ApiError with the refusal's code."""
        terms = self._terms
        try:
            async with self._database.transaction() as connection:
                claim = await reserve(connection, viewer_key, wallet, terms.mint, fee, wanted, terms.limits)
        except ClaimRefused as refusal:
            self._counters.counts["claims_refused", refusal.code.value] += 1
            raise refused(refusal) from refusal
        except asyncpg.IntegrityConstraintViolationError as error:
            self._counters.counts["claims_refused", "integrity"] += 1
            raise ApiError(409, "already_claimed", "the ledger refuses the claim", "look at GET /v1/claims") from error
        self._counters.counts["claims_reserved", fee] += 1
        return claim

    async def list(self, request: Request) -> Answer:
        """GET /v1/claims."""
        query = request.query(("before", "limit"))
        viewer = await self._reading(request)
        limit = _whole("limit", query.get("limit", "20"), 1, 100)
        before = _whole("before", query["before"], 1, 2**63 - 1) if "before" in query else None
        claims = await claims_of_viewer(self._database, viewer.viewer_key, before, limit)
        more = claims[-1].claim_id if len(claims) == limit else None
        return json_answer({"claims": [self._shown(one) for one in claims], "next_before": more})

    async def one(self, request: Request, claim_id: str) -> Answer:
        """GET /v1/claims/{id}, at once or when its state is another than `seen`."""
        query = request.query(("seen", "wait_ms"))
        viewer = await self._reading(request)
        seen = query.get("seen")
        if seen is not None and seen not in STATES:
            raise malformed("seen", seen, f"give one of {', '.join(STATES)}")
        wait_ms = _whole("wait_ms", query.get("wait_ms", str(MAX_WAIT_MS)), 0, MAX_WAIT_MS)
        number = _claim_id(claim_id)
        if seen is None:
            return json_answer(self._shown(await self._of_viewer(viewer, number)))
        return json_answer(self._shown(await self.changed(viewer, number, seen, wait_ms)))

    async def changed(self, viewer: Viewer, claim_id: int, seen: str, wait_ms: int) -> Claim:
        """The claim when it is no longer as seen, or when the time is up."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + wait_ms / 1000
        with self._waiting.entered(claim_id) as event:
            while True:
                if event is not None:
                    event.clear()
                claim = await self._of_viewer(viewer, claim_id)
                left_s = until_s - loop.time()
                if event is None or left_s <= 0 or claim.state != seen:
                    return claim
                try:
                    async with asyncio.timeout(left_s):
                        await event.wait()
                except TimeoutError:
                    return await self._of_viewer(viewer, claim_id)

    async def last_error(self, claim: Claim) -> str | None:
        """What chain or nodes said of its last attempt."""
        return await last_error(self._database, claim.claim_id)

    async def transaction(self, request: Request, claim_id: str) -> Answer:
        """GET /v1/claims/{id}/transaction: what the wallet signs. Nothing is written."""
        request.query(())
        claim = await self._of_viewer(await self._reading(request), _claim_id(claim_id))
        given = await self._ask(claim, PrepareFor(claim.claim_id))
        return json_answer({"transaction": b64encode(given.transaction).decode()})

    async def submit(self, request: Request, claim_id: str) -> Answer:
        """POST /v1/claims/{id}/transaction: the wallet has signed."""
        viewer = await self._changing(request)
        form = await request.json(TransactionForm)
        try:
            transaction = b64decode(form.transaction, validate=True)
        except (Base64Error, ValueError):
            raise malformed("transaction", form.transaction, "send base64") from None
        if len(transaction) > MAX_TRANSACTION_BYTES:
            raise malformed("transaction", form.transaction, f"send at most {MAX_TRANSACTION_BYTES} bytes")
        claim = await self._of_viewer(viewer, _claim_id(claim_id))
        await self._ask(claim, Submit(claim.claim_id, transaction))
        return json_answer(self._shown(await self._of_viewer(viewer, claim.claim_id)))

    async def _ask(self, claim: Claim, question: PayerQuestion) -> Given:
        if claim.fee != "viewer":
            raise ApiError(
                409, "wrong_fee", f"the fee of claim {claim.claim_id} is paid by {claim.fee}", "nothing is to be signed"
            )
        try:
            answer = await self._payer.ask(question)
        except SocketError as error:
            self._counters.counts["payer_asked", "away"] += 1
            raise ApiError(
                503, "payer_away", "payments do not answer now", "try again", [(b"retry-after", b"5")]
            ) from error
        if isinstance(answer, Refused):
            self._counters.counts["payer_asked", answer.code.value] += 1
            raise refused_by_payer(answer)
        self._counters.counts["payer_asked", "given"] += 1
        return answer

    async def _of_viewer(self, viewer: Viewer, claim_id: int) -> Claim:
        claim = await claim_of_viewer(self._database, viewer.viewer_key, claim_id)
        if claim is None:
            raise ApiError(404, "unknown_claim", f"you have no claim {claim_id}", "list them at /v1/claims")
        return claim

    async def _reading(self, request: Request) -> Viewer:
        viewer = await self._sessions.viewer(request)
        self._rates.take("read", viewer.session_hash.hex())
        return viewer

    async def _changing(self, request: Request) -> Viewer:
        viewer = await self._sessions.viewer_for_change(request)
        self._rates.take("change", viewer.session_hash.hex())
        return viewer

    def _shown(self, claim: Claim) -> dict[str, object]:
        return claim_json(claim, self._terms.cluster, self._terms.local_node)


def refused(refusal: ClaimRefused) -> ApiError:
    """The refusal with its HTTP status, and Retry-After where it knows."""
    headers = [] if refusal.retry_after_s is None else [(b"retry-after", b"%d" % refusal.retry_after_s)]
    return ApiError(STATUSES[refusal.code], refusal.code.value, refusal.message, refusal.mend, headers)


def refused_by_payer(answer: Refused) -> ApiError:
    """The payer's refusal with its HTTP status, in words that are fit for the viewer."""
    if answer.code is Code.WRONG_TRANSACTION:
        # The viewer's own wallet made it: what differs is theirs to know.
        return ApiError(409, answer.code.value, answer.message[:300], "fetch the transaction again and sign that one")
    passing = answer.code in PASSING
    mend = "try again" if passing else "look at the claim again; an operator knows more"
    headers = [(b"retry-after", b"5")] if passing else []
    return ApiError(503 if passing else 409, answer.code.value, "the payment is not signed now", mend, headers)


def _claim_id(text: str) -> int:
    return _whole("claim", text, 1, 2**63 - 1)


def _whole(what: str, text: str, low: int, high: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and low <= int(text) <= high):
        raise malformed(what, text, f"give a whole number from {low} to {high}")
    return int(text)
