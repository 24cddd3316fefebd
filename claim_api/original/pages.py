"""GET /api/eligibility, POST /api/claim, GET /api/debug/claim: the original's questions, answered from our ledger.

In: requests with a session; the original's clients know no token, so a POST is held to its origin and to JSON, which no
foreign page can send. Out: the original's shapes. Amounts are strings of base units. A claim that is under way is
joined, never made twice.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from claim_api.answer import Answer, json_answer
from claim_api.eligibility.find import Finding
from claim_api.epochs import channel_name, epoch_start
from claim_api.errors import ApiError, busy
from claim_api.identity.me import utc
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.ledger.rows import AllocationKey, Claim
from claim_api.limits import Limits
from claim_api.original.codes import held, in_original_words, not_confirmed
from claim_api.payments.pages import MAX_WAIT_MS, Claims
from claim_api.payments.waiting import MAX_WAITING
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.wallets.address import checked_wallet

WAIT_S: Final = 30.0


class ClaimForm(msgspec.Struct):
    """Of POST /api/claim. Fields that the original's pages sent besides are passed over."""

    wallet: str
    epoch: int | str
    channel: str


@dataclass(frozen=True, slots=True)
class Offered:
    """claims: None where no mint is configured. debug: whether /api/debug/claim answers."""

    claims: Claims | None
    mint: str
    fee: str
    debug: bool = False
    wait_s: float = WAIT_S


class Original:
    """See the module."""

    def __init__(self, finding: Finding, sessions: Sessions, limits: Limits, offered: Offered) -> None:
        self._finding, self._sessions, self._limits, self._offered = finding, sessions, limits, offered

    def routes(self) -> Sequence[Route]:
        """See docs/api.md."""
        found = [
            Route("api_eligibility", "api/eligibility", {"GET": self.eligibility}),
            Route("api_claim", "api/claim", {"POST": self.claim}),
        ]
        if self._offered.debug:
            found.append(Route("api_debug_claim", "api/debug/claim", {"GET": self.debug}))
        return found

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    @in_original_words
    async def eligibility(self, request: Request) -> Answer:
        """One hour of the viewer. reason: null where there is something to claim."""
        viewer = await self._sessions.viewer(request)
        self._limits.take("read", viewer.session_hash.hex())
        channel, start_s = _named(request.query(("epoch", "channel")))
        hour = await self._finding.hours.find((viewer.viewer_key, channel, start_s))
        total, taken = (0, 0) if hour is None else (hour.base_units, hour.taken_base_units)
        reason = None
        if hour is None:
            reason = "NO_ALLOCATION"
        elif taken == total:
            reason = "ALREADY_CLAIMED"
        elif hour.stopped:
            reason = "CHANNEL_STOPPED"
        return json_answer(
            {
                "eligible": reason is None,
                "username": viewer.login,
                "channel": channel,
                "epoch": start_s,
                "amount": str(total),
                "claimed": hour is not None and taken == total,
                "reason": reason,
            }
        )

    @in_original_words
    async def claim(self, request: Request) -> Answer:
        """Reserves, waits for the chain, answers with the receipt."""
        viewer = await self._sessions.viewer_of_our_page(request)
        self._limits.take("change", viewer.session_hash.hex())
        form = await request.json(ClaimForm)
        channel, start_s = _named({"channel": form.channel, "epoch": str(form.epoch)})
        wallet = checked_wallet(form.wallet)
        claims = self._offered.claims
        if claims is None:
            raise ApiError(500, "mint_not_found", "no mint is configured", "the operator sets TWZRD_MINT")
        claim = await self._reserved(claims, viewer, wallet, channel, start_s)
        claim = await self._confirmed(claims, viewer, claim)
        return json_answer({"success": True, "receipt": _receipt(viewer, channel, start_s, claim)})

    @in_original_words
    async def debug(self, request: Request) -> Answer:
        """What stands in the way of a claim; off unless wanted."""
        viewer = await self._sessions.viewer(request)
        self._limits.take("read", viewer.session_hash.hex())
        channel, start_s = _named(request.query(("epoch", "channel")))
        rows = await self._finding.hour(viewer.viewer_key, channel, start_s)
        return json_answer(
            {
                "viewer": viewer.identity,
                "channel": channel,
                "epoch": start_s,
                "mint": self._offered.mint or None,
                "fee": self._offered.fee,
                "allocations": [
                    {"revision": row["revision"], "claim_id": row["claim_id"], "state": row["state"]} for row in rows
                ],
            }
        )

    async def _reserved(self, claims: Claims, viewer: Viewer, wallet: str, channel: str, start_s: int) -> Claim:
        """A new claim of what is left of the hour, or the one that is under way."""
        rows = await self._finding.hour(viewer.viewer_key, channel, start_s)
        if not rows:
            raise ApiError(
                400, "no_allocation", f"you have nothing in {channel} at {start_s}", "list it at /v1/eligibility"
            )
        under_way = _under_way(rows)
        if under_way is None:
            left = [row for row in rows if row["claim_id"] is None]
            if not left:
                raise ApiError(400, "already_claimed", "the hour is claimed", "see it at /v1/claims")
            if self._offered.fee != "server":
                raise ApiError(409, "fee_not_offered", "viewers pay fees here, with their wallet", "claim at /claim")
            wanted = [AllocationKey(row["channel"], start_s, row["revision"]) for row in left]
            try:
                return await claims.reserved(viewer.viewer_key, wallet, "server", wanted)
            except ApiError as error:
                # Another request of the same was a moment faster: its claim is joined.
                if error.code != "already_claimed":
                    raise
                under_way = _under_way(await self._finding.hour(viewer.viewer_key, channel, start_s))
                if under_way is None:
                    raise
        joined = await claims.changed(viewer, under_way, "", 0)
        if joined.wallet != wallet:
            raise ApiError(
                400, "invalid_wallet", f"claim {under_way} goes to another wallet", "ask with the wallet of that claim"
            )
        return joined

    async def _confirmed(self, claims: Claims, viewer: Viewer, claim: Claim) -> Claim:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._offered.wait_s
        while claim.state not in ("confirmed", "held"):
            left_ms = round((until_s - loop.time()) * 1000)
            if left_ms <= 0:
                raise not_confirmed(claim, self._offered.wait_s, await claims.last_error(claim))
            wait_ms, seen, asked_s = min(left_ms, MAX_WAIT_MS), claim.state, loop.time()
            claim = await claims.changed(viewer, claim.claim_id, seen, wait_ms)
            if claim.state == seen and (loop.time() - asked_s) * 1000 < wait_ms / 2:
                raise busy("requests that wait for a claim", MAX_WAITING)
        if claim.state == "held":
            raise held(claim)
        return claim


def _named(fields: dict[str, str]) -> tuple[str, int]:
    """Channel and start of the epoch. Raises ApiError 400."""
    for name in ("epoch", "channel"):
        if not fields.get(name):
            raise ApiError(400, "malformed", f"{name} is missing", "give epoch and channel")
    return channel_name(fields["channel"]), epoch_start(fields["epoch"])


def _under_way(rows: Sequence[Any]) -> int | None:
    return next((row["claim_id"] for row in rows if row["state"] not in (None, "confirmed")), None)


def _receipt(viewer: Viewer, channel: str, start_s: int, claim: Claim) -> dict[str, Any]:
    assert claim.confirmed_at is not None, "a confirmed claim has its time"
    return {
        "username": viewer.login,
        "channel": channel,
        "epoch": start_s,
        "amount": str(claim.amount_base_units),
        "wallet": claim.wallet,
        "signature": claim.signature,
        "claimed_at": utc(claim.confirmed_at),
    }
