"""The part of wallets: a challenge to sign, the binding it proves, and the bindings there were.

In: requests with a session. Out: JSON as docs/claims.md says. A nonce is used once, whatever happens at the same time;
the database keeps the waiting time of a second wallet (claims.bind_wallet).
"""

import secrets
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from claim_api.answer import Answer, json_answer
from claim_api.audit import audit
from claim_api.errors import ApiError, malformed
from claim_api.identity.me import utc
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.limits import Limits
from claim_api.part_counters import PartCounters
from claim_api.request import Request
from claim_api.routing import Route
from claim_api.wallets import off_chain, siws
from claim_api.wallets.sql import sql
from claim_api.web_database import WebDatabase

MAX_WALLETS: Final = 100
MAX_SIGNED_BYTES: Final = 4_096


class ChallengeForm(msgspec.Struct, forbid_unknown_fields=True):
    """Of POST /v1/wallet/challenge."""

    wallet: str


class BindForm(msgspec.Struct, forbid_unknown_fields=True):
    """Of POST /v1/wallet; bytes are base64."""

    nonce: str
    signed_message: str
    signature: str
    form: Literal["siws", "off-chain"]


class Wallets:
    """chain: the cluster, as wallets name it. now: the time, UTC."""

    def __init__(
        self,
        database: WebDatabase,
        sessions: Sessions,
        limits: Limits,
        counters: PartCounters,
        chain: str,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database, self._sessions, self._limits, self._counters = database, sessions, limits, counters
        self._uri, self._chain, self._now = sessions.origin, chain, now
        self._domain = urlsplit(sessions.origin).netloc

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        return (
            Route("wallet_challenge", "v1/wallet/challenge", {"POST": self.challenge}),
            Route("wallet", "v1/wallet", {"POST": self.bind}),
            Route("wallets", "v1/wallets", {"GET": self.wallets}),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Nothing to end."""

    async def challenge(self, request: Request) -> Answer:
        """POST /v1/wallet/challenge: what this viewer's wallet must sign within ten minutes."""
        viewer = await self._changing(request)
        form = await request.json(ChallengeForm)
        self._check_wallet(form.wallet)
        said = self._asked(viewer, form.wallet)
        message = siws.build(said)
        await self._database.execute(
            sql("put_challenge"),
            said.nonce,
            viewer.session_hash,
            viewer.viewer_key,
            said.address,
            message,
            said.expiration_time,
        )
        self._counters.counts["wallets", "challenged"] += 1
        return json_answer(
            {
                "input": _input(said),
                "message": message,
                "nonce": said.nonce,
                "expires_at": siws.iso(said.expiration_time),
            }
        )

    async def bind(self, request: Request) -> Answer:
        """POST /v1/wallet: the wallet takes the viewer's rewards, at once or after the waiting time."""
        viewer = await self._changing(request)
        form = await request.json(BindForm)
        message, signature = _bytes("signed_message", form.signed_message), _bytes("signature", form.signature)
        if not siws.is_nonce(form.nonce):
            raise malformed("nonce", form.nonce, "give the one of the challenge")
        row = await self._database.fetchrow(sql("challenge"), form.nonce, viewer.session_hash, viewer.viewer_key)
        if row is None:
            raise self._refused(siws.SiwsError("nonce", "it is not an open one of this session; ask for a challenge"))
        wallet: str = row["wallet"]
        try:
            self._check(viewer, row["message"], message, signature, form)
        except siws.SiwsError as error:
            raise self._refused(error) from None
        # Only now: else anybody could use up what another's wallet may ask.
        self._limits.take("wallet", wallet)
        async with self._database.transaction() as connection:
            if await connection.fetchval(sql("use_challenge"), form.nonce, viewer.session_hash) is None:
                raise self._refused(siws.SiwsError("nonce", "it was used meanwhile; ask for a challenge"))
            effective_at = await connection.fetchval(
                sql("bind_wallet"), viewer.viewer_key, wallet, message, signature, form.form
            )
            await audit(
                connection,
                viewer.identity,
                "bind wallet",
                viewer.identity,
                wallet=wallet,
                form=form.form,
                effective_at=utc(effective_at),
            )
        self._counters.counts["wallets", "bound"] += 1
        return json_answer({"wallet": wallet, "effective_at": utc(effective_at)})

    async def wallets(self, request: Request) -> Answer:
        """GET /v1/wallets: newest first, the last hundred."""
        request.query(())
        viewer = await self._sessions.viewer(request)
        self._limits.take("read", viewer.session_hash.hex())
        rows = await self._database.fetch(sql("wallets"), viewer.viewer_key, MAX_WALLETS)
        found = [
            {
                "wallet": row["wallet"],
                "bound_at": utc(row["bound_at"]),
                "effective_at": utc(row["effective_at"]),
                "form": row["form"],
            }
            for row in rows
        ]
        return json_answer({"wallets": found})

    async def _changing(self, request: Request) -> Viewer:
        viewer = await self._sessions.viewer_for_change(request)
        self._limits.take("change", viewer.session_hash.hex())
        return viewer

    def _asked(self, viewer: Viewer, wallet: str) -> siws.SignIn:
        now = self._now().astimezone(UTC)
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        return siws.SignIn(
            domain=self._domain,
            address=wallet,
            uri=self._uri,
            chain_id=self._chain,
            nonce=secrets.token_hex(16),
            issued_at=now,
            expiration_time=now + timedelta(seconds=siws.LIFE_S),
            identity=viewer.identity,
        )

    def _check(self, viewer: Viewer, asked: str, message: bytes, signature: bytes, form: BindForm) -> None:
        """Raises SiwsError."""
        if (form.form == "off-chain") != off_chain.is_off_chain(message):
            raise siws.SiwsError("form", f"the signed bytes are not of the form {form.form!r}")
        wanted = siws.parse(asked.encode())
        said = siws.verified(message, signature, wanted.address, self._domain)
        siws.check(said, wanted)
        siws.check_times(said, self._now())
        # What the signer process will ask of the row again.
        siws.verify_binding(message, signature, wanted.address, viewer.identity, self._domain, self._chain)

    def _check_wallet(self, wallet: str) -> None:
        try:
            siws.key_of(wallet)
        except siws.SiwsError as error:
            raise self._refused(error) from None

    def _refused(self, error: siws.SiwsError) -> ApiError:
        self._counters.counts["wallets_refused", error.field] += 1
        return ApiError(400, "wallet_refused", str(error), "ask for a new challenge and sign its message as it stands")


def _input(said: siws.SignIn) -> dict[str, object]:
    """SolanaSignInInput of the Wallet Standard: a wallet makes the same message of it."""
    return {
        "domain": said.domain,
        "address": said.address,
        "statement": said.statement,
        "uri": said.uri,
        "version": said.version,
        "chainId": said.chain_id,
        "nonce": said.nonce,
        "issuedAt": siws.iso(said.issued_at),
        "expirationTime": siws.iso(said.expiration_time),
        "resources": [said.identity],
    }


def _bytes(field: str, text: str) -> bytes:
    try:
        data = b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise malformed(field, text, "give base64") from None
    if len(data) > MAX_SIGNED_BYTES:
        raise malformed(field, text, f"give at most {MAX_SIGNED_BYTES} bytes")
    return data
