"""Twitch app tokens: client credentials in, a token that is valid now out. Stands under the Helix client.

Rules: dev.twitch.tv/docs/authentication (client credentials grant flow; validate at start and every hour). Credentials
travel in the request's body, never in an address, and no repr or error shows them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import aiohttp
import msgspec

from schemas.errors import TwzrdError

logger: Final = logging.getLogger(__name__)

VALIDATE_EVERY_S: Final = 3_600.0
RENEW_BEFORE_S: Final = 300.0
"""A token is renewed so long before it expires."""
SHORTEST_LIFE_S: Final = 30.0
"""A token is used at least so long, however soon it says it expires: no storm of requests for new ones."""
MAX_ANSWER_BYTES: Final = 64 * 1024
TIMEOUT: Final = aiohttp.ClientTimeout(total=15)


class HelixError(TwzrdError):
    """Twitch's API cannot be asked now; the message says what was asked and what came back, never a secret."""


class BadCredentials(HelixError):
    """Twitch refuses the client id or secret: trying again does not help."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of an application registered at dev.twitch.tv/console."""

    client_id: str
    client_secret: str = field(repr=False)


class _Token(msgspec.Struct):
    access_token: str
    expires_in: int = 0


class AppToken:
    """Holds one token; asks for another when it is refused, expires or was taken back. clock_s: monotonic."""

    def __init__(
        self, session: aiohttp.ClientSession, credentials: Credentials, id_url: str, clock_s: Callable[[], float]
    ) -> None:
        self._session = session
        self._credentials = credentials
        self._url = id_url
        self._clock_s = clock_s
        self._token = ""
        self._good_until_s = self._validated_s = 0.0
        self._one_at_a_time = asyncio.Lock()
        self.issued_total = 0
        self.validated_total = 0

    def __repr__(self) -> str:
        return f"AppToken({self._credentials.client_id!r})"

    @property
    def client_id(self) -> str:
        """Sent beside the token in every request."""
        return self._credentials.client_id

    async def get(self) -> str:
        """A token that was good within the last hour. Raises HelixError, BadCredentials."""
        async with self._one_at_a_time:
            now_s = self._clock_s()
            if self._token and now_s < self._good_until_s and now_s - self._validated_s >= VALIDATE_EVERY_S:
                await self._validate()
            if not self._token or self._clock_s() >= self._good_until_s:
                await self._issue()
            return self._token

    def refused(self, token: str) -> None:
        """The API answered 401 to this token: the next `get` brings another."""
        if token == self._token:
            self._token = ""

    async def _issue(self) -> None:
        self._token = ""
        form = {
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
            "grant_type": "client_credentials",
        }
        try:
            async with self._session.post(f"{self._url}/token", data=form, timeout=TIMEOUT) as answer:
                status, body = answer.status, await answer.content.read(MAX_ANSWER_BYTES)
        except (aiohttp.ClientError, TimeoutError) as error:
            # Without the cause: what aiohttp raises may quote the request.
            raise HelixError(f"asking for an app token failed: {type(error).__name__}") from None
        if status in (400, 401, 403):
            raise BadCredentials(
                f"Twitch refused client id {self._credentials.client_id!r} or its secret (HTTP {status}); "
                "compare both with dev.twitch.tv/console"
            )
        if status != 200:
            raise HelixError(f"asking for an app token: HTTP {status}")
        try:
            issued = msgspec.json.decode(body, type=_Token)
        except msgspec.DecodeError:
            raise HelixError(f"asking for an app token: an answer of {len(body)} bytes that is none") from None
        now_s = self._clock_s()
        self._token, self._validated_s = issued.access_token, now_s
        self._good_until_s = now_s + max(SHORTEST_LIFE_S, issued.expires_in - RENEW_BEFORE_S)
        self.issued_total += 1

    async def _validate(self) -> None:
        headers = {"Authorization": f"OAuth {self._token}"}
        try:
            async with self._session.get(f"{self._url}/validate", headers=headers, timeout=TIMEOUT) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError) as error:
            raise HelixError(f"validating the app token failed: {type(error).__name__}") from None
        if status == 401:
            self._token = ""
            return
        if status != 200:
            raise HelixError(f"validating the app token: HTTP {status}")
        self._validated_s = self._clock_s()
        self.validated_total += 1
