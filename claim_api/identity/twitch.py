"""Twitch's side of signing in: the address to send a browser to, and the five questions asked behind its back.

In: codes and tokens. Out: plain structs, or a TwitchError whose class says what to do about it. Source of the rules:
dev.twitch.tv/docs/authentication (authorization code grant, validate, refresh, revoke) and the Get Users reference.
Secrets travel in bodies and headers, never in an address, and no repr or message shows them. Nothing is asked twice.
"""

from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import aiohttp
import msgspec

from schemas.errors import TwzrdError

MAX_ANSWER_BYTES: Final = 64 * 1024
TIMEOUT_S: Final = 5.0
MAX_VIEWER_KEY: Final = 2**63 - 1


class TwitchError(TwzrdError):
    """Twitch did not answer as hoped. code: a stable word for programs."""

    code = "twitch"


class CodeRefused(TwitchError):
    """The authorization code is expired, used, or not ours."""

    code = "expired"


class TokenRefused(TwitchError):
    """The token is expired or was taken back (HTTP 401)."""

    code = "revoked"


class ClientRefused(TwitchError):
    """Our client id or secret is wrong: the operator must look."""

    code = "client"


class ForeignToken(ClientRefused):
    """The token was made for another application."""


class TwitchBusy(TwitchError):
    """Too many requests (HTTP 429)."""

    code = "busy"


class TwitchAway(TwitchError):
    """No answer, none in time, or a fault of Twitch's own."""

    code = "away"


class TwitchGarbled(TwitchError):
    """An answer that is none."""

    code = "garbled"


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """Of an application registered at dev.twitch.tv/console."""

    client_id: str
    client_secret: str = field(repr=False)


class Grant(msgspec.Struct, frozen=True):
    """What Twitch gave for a code; kept sealed beside the session."""

    access_token: str
    refresh_token: str = ""

    def packed(self) -> str:
        """As text, to be sealed."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def unpacked(text: str) -> "Grant":
        """The inverse of packed."""
        return msgspec.json.decode(text, type=Grant)

    def __repr__(self) -> str:
        return "Grant(hidden)"


class Validated(msgspec.Struct, frozen=True):
    """Whose token it is, as Twitch says now."""

    client_id: str
    user_id: str
    login: str
    expires_in: int = 0

    @property
    def viewer_key(self) -> int:
        """The numeric id."""
        return int(self.user_id)


class User(msgspec.Struct, frozen=True):
    """Of Get Users."""

    id: str
    login: str
    display_name: str


class _Users(msgspec.Struct):
    data: list[User]


T = TypeVar("T")


class TwitchLogin:
    """Asks one Twitch. id_url, api_url: without a last slash. Call `open` in the loop that serves, `close` at the
    end."""

    def __init__(
        self,
        credentials: ClientCredentials,
        id_url: str,
        api_url: str,
        redirect_uri: str,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._credentials, self._id_url, self._api_url = credentials, id_url, api_url
        self._redirect_uri, self._timeout = redirect_uri, aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Connects nothing yet."""
        self._session = aiohttp.ClientSession(timeout=self._timeout)

    async def close(self) -> None:
        """Lets the connections go."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def authorize_url(self, state: str) -> str:
        """Where the browser goes. We ask for no scope: the id is all we need."""
        query = {
            "response_type": "code",
            "client_id": self._credentials.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": "",
            "state": state,
        }
        return f"{self._id_url}/authorize?{urlencode(query)}"

    async def exchange(self, code: str) -> Grant:
        """A grant for a code. Raises CodeRefused, ClientRefused, TwitchBusy, TwitchAway, TwitchGarbled."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri}
        status, body = await self._token(form)
        if status in (400, 401):
            raise CodeRefused("Twitch does not take the code (any more)")
        return _decoded("token", status, body, Grant)

    async def refresh(self, grant: Grant) -> Grant:
        """A new grant for an old one. Raises TokenRefused where Twitch took it back, and as exchange."""
        status, body = await self._token({"grant_type": "refresh_token", "refresh_token": grant.refresh_token})
        if status in (400, 401):
            raise TokenRefused("Twitch does not renew the token any more")
        return _decoded("token", status, body, Grant)

    async def validate(self, grant: Grant) -> Validated:
        """Whose token it is. Raises TokenRefused, ForeignToken, and as exchange."""
        headers = {"Authorization": f"OAuth {grant.access_token}"}
        status, body = await self._ask("GET", f"{self._id_url}/validate", headers=headers)
        if status == 401:
            raise TokenRefused("Twitch says the token is not valid (any more)")
        said = _decoded("validate", status, body, Validated)
        if said.client_id != self._credentials.client_id:
            raise ForeignToken("the token was made for another application")
        if not _is_id(said.user_id):
            raise TwitchGarbled("validate names no user id")
        return said

    async def user(self, grant: Grant) -> User:
        """The token's own user. Raises as validate."""
        headers = {"Authorization": f"Bearer {grant.access_token}", "Client-Id": self._credentials.client_id}
        status, body = await self._ask("GET", f"{self._api_url}/users", headers=headers)
        if status == 401:
            raise TokenRefused("Helix does not take the token")
        users = _decoded("users", status, body, _Users).data
        if len(users) != 1:
            raise TwitchGarbled(f"users tells of {len(users)} users, not of one")
        return users[0]

    async def revoke(self, grant: Grant) -> None:
        """The token is good for nothing afterwards. A token that was refused already counts as done. Raises TwitchBusy,
        TwitchAway."""
        form = {"client_id": self._credentials.client_id, "token": grant.access_token}
        status, _ = await self._ask("POST", f"{self._id_url}/revoke", data=form)
        if status == 429:
            raise TwitchBusy("revoke: HTTP 429")
        if status >= 500:
            raise TwitchAway(f"revoke: HTTP {status}")

    async def _token(self, form: dict[str, str]) -> tuple[int, bytes]:
        secret = {"client_id": self._credentials.client_id, "client_secret": self._credentials.client_secret}
        return await self._ask("POST", f"{self._id_url}/token", data={**form, **secret})

    async def _ask(self, method: str, url: str, **given: Any) -> tuple[int, bytes]:
        assert self._session is not None, "open comes first"
        what = url.rsplit("/", 1)[-1]
        try:
            async with self._session.request(method, url, allow_redirects=False, **given) as answer:
                body = bytearray()
                async for piece in answer.content.iter_chunked(MAX_ANSWER_BYTES):
                    body += piece
                    if len(body) > MAX_ANSWER_BYTES:
                        raise TwitchGarbled(f"{what}: an answer over {MAX_ANSWER_BYTES} bytes")
                return answer.status, bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # Without the cause: what aiohttp raises may quote the request.
            raise TwitchAway(f"{what}: {type(error).__name__}") from None


def _decoded(what: str, status: int, body: bytes, form: type[T]) -> T:
    if status == 403:
        raise ClientRefused(f"{what}: HTTP 403; compare client id and secret with dev.twitch.tv/console")
    if status == 429:
        raise TwitchBusy(f"{what}: HTTP 429")
    if status != 200:
        raise TwitchAway(f"{what}: HTTP {status}")
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise TwitchGarbled(f"{what}: an answer of {len(body)} bytes that is none") from None


def _is_id(text: str) -> bool:
    plain = text.isascii() and text.isdigit() and len(text) <= 19 and (text[0] != "0" or text == "0")
    return plain and int(text) <= MAX_VIEWER_KEY
