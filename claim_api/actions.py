"""A Solana Action: a wallet that is in force claims from wherever the link is shown, and pays its own fee.

In: GET for what is offered, POST {account} for a transaction that lacks only that wallet's signature. Out: JSON of the
Actions specification, version 2.4 (docs: solana.com/developers/guides/advanced/actions), with its CORS headers, also on
errors. Nobody is signed in: the money goes to the wallet in force of a viewer and nowhere else.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Annotated, Any, Final

import msgspec
import orjson
from msgspec import Meta

from claim_api.answer import Answer, answer, error_answer, json_answer
from claim_api.eligibility.sql import sql
from claim_api.errors import ApiError
from claim_api.limits import Limits
from claim_api.part_counters import PartCounters
from claim_api.payer.door import Act, PayerPort
from claim_api.payments.pages import Claims, refused_by_payer
from claim_api.payments.view import display
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.signer.protocol import Refused
from claim_api.unix_socket import SocketError
from claim_api.wallets.address import checked_wallet
from claim_api.web_database import WebDatabase

VERSION: Final = b"2.4"
CHAINS: Final = {
    "mainnet": b"solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp",
    "devnet": b"solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1",
    "testnet": b"solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z",
    "localnet": b"solana:localnet",
}
"""CAIP-2; a local chain has no identity of its own."""
CORS: Final = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET,POST,PUT,OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Content-Type, Authorization, Content-Encoding, Accept-Encoding, X-Accept-Action-Version, "
        b"X-Accept-Blockchain-Ids",
    ),
    (b"access-control-expose-headers", b"X-Action-Version, X-Blockchain-Ids"),
)
ICON: Final = (
    b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512"><rect width="512" height="512" rx="96" '
    b'fill="#6441a5"/><path d="M128 144h256v176H272l-80 64v-64h-64z" fill="#fff"/></svg>'
)
TITLE: Final = "Claim CHAT"
DESCRIPTION: Final = "What you earned by taking part in Twitch chat, to the wallet that you bound."


class ActionForm(msgspec.Struct):
    """Of the POST; fields that a client sends besides are passed over."""

    account: Annotated[str, Meta(max_length=64)]


Handler = Callable[["Actions", Request], Awaitable[Answer]]


def _open_to_all(handler: Handler) -> Handler:
    """The answer, or its error, as pages of any origin may read it."""

    @wraps(handler)
    async def answered(self: "Actions", request: Request) -> Answer:
        try:
            made = await handler(self, request)
        except ApiError as error:
            made = error_answer(error)
        made.headers.extend(self.headers)
        return made

    return answered


class Actions:
    """claims: None where no mint is configured; then a POST leads to the page. database: read only, role twzrd_web."""

    def __init__(
        self,
        database: WebDatabase,
        claims: Claims | None,
        payer: PayerPort,
        limits: Limits,
        counters: PartCounters,
        public_url: str,
        cluster: str,
    ) -> None:
        self._database, self._claims, self._payer, self._limits = database, claims, payer, limits
        self._counts, self._public_url = counters.counts, public_url
        self.headers: Final = (*CORS, (b"x-action-version", VERSION), (b"x-blockchain-ids", CHAINS[cluster]))

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        return (
            Route("actions", "actions.json", {"GET": self.rules, "OPTIONS": self.options}),
            Route("action", "v1/actions/claim", {"GET": self.offer, "POST": self.claim, "OPTIONS": self.options}),
            Route("action_icon", "v1/actions/icon.svg", {"GET": self.icon}),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    @_open_to_all
    async def options(self, request: Request) -> Answer:
        """What a browser asks before a POST from elsewhere."""
        return answer(b"")

    @_open_to_all
    async def rules(self, request: Request) -> Answer:
        """Which of our pages are actions."""
        rules = [("/claim", "/v1/actions/claim"), ("/v1/actions/**", "/v1/actions/**")]
        return json_answer({"rules": [{"pathPattern": page, "apiPath": path} for page, path in rules]})

    @_open_to_all
    async def icon(self, request: Request) -> Answer:
        """The picture that the offer names."""
        return answer(ICON, b"image/svg+xml", b"public, max-age=86400")

    @_open_to_all
    async def offer(self, request: Request) -> Answer:
        """What a client shows."""
        linked = {"type": "transaction", "href": f"{self._public_url}/v1/actions/claim", "label": "Claim"}
        if self._claims is None:
            linked["type"] = "external-link"
        return json_answer(
            {
                "type": "action",
                "icon": f"{self._public_url}/v1/actions/icon.svg",
                "title": TITLE,
                "description": DESCRIPTION,
                "label": "Claim",
                "links": {"actions": [linked]},
            }
        )

    @_open_to_all
    async def claim(self, request: Request) -> Answer:
        """A transaction for the account to sign and send."""
        self._limits.take_of_address("public", request)
        form = await request.json(ActionForm)
        wallet = checked_wallet(form.account)
        self._limits.take("wallet", wallet)
        if self._claims is None:
            return json_answer({"type": "external-link", "externalLink": f"{self._public_url}/claim"})
        claim_id, base_units = await self._claim_of(self._claims, wallet)
        transaction = await self._signed(claim_id)
        self._counts["actions", "given"] += 1
        message = f"Claim {claim_id}: {display(base_units)} CHAT"
        body = {"type": "transaction", "transaction": b64encode(transaction).decode(), "message": message}
        return answer(orjson.dumps(body))

    async def _claim_of(self, claims: Claims, wallet: str) -> tuple[int, int]:
        """The action's claim that is open already, or a new one of all that is left; its id and amount."""
        viewers: Sequence[Any] = await self._database.fetch(sql("viewers_of_wallet"), wallet)
        if not viewers:
            raise ApiError(409, "no_wallet", f"wallet {wallet} is in force for nobody", "bind it at /claim")
        for viewer in viewers:
            if viewer["claim_id"] is not None:
                return viewer["claim_id"], int(viewer["amount_base_units"])
        refusal: ApiError | None = None
        for viewer in viewers:
            try:
                claim = await claims.reserved(viewer["viewer_key"], wallet, "action", "all")
                return claim.claim_id, claim.amount_base_units
            except ApiError as error:
                refusal = refusal or error
                if error.code != "nothing_to_claim":
                    break
        assert refusal is not None, "there is a viewer, and no claim of theirs"
        # The sentence names the viewer, whom the asker need not know.
        raise ApiError(refusal.status, refusal.code, "this wallet can claim nothing now", "look at /claim")

    async def _signed(self, claim_id: int) -> bytes:
        try:
            given = await self._payer.ask(Act(claim_id))
        except SocketError as error:
            self._counts["actions", "away"] += 1
            raise ApiError(
                503, "payer_away", "payments do not answer now", "try again", [(b"retry-after", b"5")]
            ) from error
        if isinstance(given, Refused):
            self._counts["actions", given.code.value] += 1
            raise refused_by_payer(given)
        return given.transaction
