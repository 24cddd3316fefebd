"""The local Twitch over HTTP: authorize, token, validate, revoke, Helix users and streams, and faults on command.

In: browsers and the API, as they would ask Twitch; POST /faults for whoever tries what happens. Out: Twitch's answers,
as dev.twitch.tv/docs says them. Listens on this machine only: whoever reaches it may sign in as anybody.
"""

import asyncio
import contextlib
import hmac
from collections.abc import AsyncIterator, Mapping
from typing import Final, get_args
from urllib.parse import urlencode, urlsplit

import orjson
from aiohttp import web

from infra.twitch_login import page
from infra.twitch_login.state import Endpoint, Fault, LoginState, TokenPair
from schemas.errors import TwzrdError

KEPT: Final = ("response_type", "client_id", "redirect_uri", "scope", "state")
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
MAX_BODY_BYTES: Final = 16 * 1024
MAX_FIELD_CHARS: Final = 2_048
ENDPOINTS: Final[tuple[Endpoint, ...]] = get_args(Endpoint)


class TwitchLoginError(TwzrdError):
    """The local Twitch cannot be; the message says why and what to do."""


class LocalTwitch:
    """Its pages around one state."""

    def __init__(self, state: LoginState) -> None:
        self.state = state
        self.url = ""
        self._closing = asyncio.Event()

    @property
    def id_url(self) -> str:
        """For TWZRD_TWITCH_ID_URL."""
        return self.url + "/oauth2"

    @property
    def api_url(self) -> str:
        """For TWZRD_TWITCH_API_URL."""
        return self.url + "/helix"

    def application(self) -> web.Application:
        """Its routes."""
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/oauth2/authorize", self._ask)
        app.router.add_post("/oauth2/authorize", self._answer)
        app.router.add_post("/oauth2/token", self._token)
        app.router.add_get("/oauth2/validate", self._validate)
        app.router.add_post("/oauth2/revoke", self._revoke)
        app.router.add_get("/helix/users", self._users)
        app.router.add_get("/helix/streams", self._streams)
        app.router.add_post("/faults", self._command)
        return app

    def stop_waiting(self) -> None:
        """Slow answers end."""
        self._closing.set()

    # ---- the browser's pages -----------------------------------------------------------------------------------

    async def _ask(self, request: web.Request) -> web.Response:
        wrong = self._wrong(request.query)
        if wrong:
            return _html(page.refused(wrong), "'none'", 400)
        kept = {name: request.query.get(name, "") for name in KEPT}
        return _html(page.choose(kept, self.state.users.values()), _origin(kept["redirect_uri"]))

    async def _answer(self, request: web.Request) -> web.Response:
        # Another site may not sign anybody in here: a form of ours comes from ours.
        if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return _html(page.refused("The form comes from another site."), "'none'", 403)
        form = {name: str(value) for name, value in (await request.post()).items()}
        wrong = self._wrong(form)
        if wrong:
            return _html(page.refused(wrong), "'none'", 400)
        back = {"state": form.get("state", "")}
        if form.get("deny"):
            back |= {"error": "access_denied", "error_description": "The user denied you access"}
        else:
            try:
                user = self.state.add_user(form.get("user", ""))
            except ValueError as error:
                return _html(page.refused(f"{error}."), "'none'", 400)
            back |= {"code": self.state.issue_code(user, form["redirect_uri"]), "scope": form.get("scope", "")}
        self.state.requests.append("authorize")
        return web.Response(status=302, headers={"Location": f"{form['redirect_uri']}?{urlencode(back)}"})

    def _wrong(self, query: Mapping[str, str]) -> str | None:
        """Why Twitch would show an error page instead of asking."""
        if any(len(value) > MAX_FIELD_CHARS for value in query.values()):
            return "A field is too long."
        if query.get("response_type") != "code":
            return "response_type must be code."
        if query.get("client_id") != self.state.client_id:
            return "No application has this client_id."
        uri = query.get("redirect_uri", "")
        if self.state.redirect_uris and uri not in self.state.redirect_uris:
            return "The redirect_uri is none of those registered."
        parts = urlsplit(uri)
        if not self.state.redirect_uris and (parts.hostname not in LOOPBACK or parts.scheme not in ("http", "https")):
            return "The redirect_uri is not on this machine; name it by --redirect-uri."
        return None

    # ---- what the application asks -----------------------------------------------------------------------------

    async def _token(self, request: web.Request) -> web.Response:
        fault = await self._fault("token")
        if fault is not None:
            return fault
        form = {name: str(value) for name, value in (await request.post()).items()}
        if form.get("client_id") != self.state.client_id:
            return _error(400, "invalid client")
        if not hmac.compare_digest(form.get("client_secret", "").encode(), self.state.client_secret.encode()):
            return _error(403, "invalid client secret")
        match form.get("grant_type"):
            case "authorization_code":
                return _issued(self.state.redeem(form.get("code", ""), form.get("redirect_uri", "")), "code")
            case "refresh_token":
                return _issued(self.state.refresh(form.get("refresh_token", "")), "refresh token")
            case _:
                return _error(400, "missing grant type")

    async def _validate(self, request: web.Request) -> web.Response:
        fault = await self._fault("validate")
        if fault is not None:
            return fault
        found = self.state.user_of(_bearer(request, "OAuth"))
        if found is None:
            return _error(401, "invalid access token")
        user, left_s = found
        said = {"client_id": self.state.client_id, "login": user.login, "scopes": [], "user_id": user.user_id}
        return web.json_response({**said, "expires_in": left_s})

    async def _revoke(self, request: web.Request) -> web.Response:
        fault = await self._fault("revoke")
        if fault is not None:
            return fault
        form = await request.post()
        if form.get("client_id") != self.state.client_id:
            return _error(404, "client does not exist")
        return web.Response() if self.state.revoke(str(form.get("token", ""))) else _error(400, "Invalid token")

    async def _users(self, request: web.Request) -> web.Response:
        fault = await self._fault("users")
        if fault is not None:
            return fault
        found = self.state.user_of(_bearer(request, "Bearer"))
        if found is None or request.headers.get("Client-Id") != self.state.client_id:
            return _error(401, "Invalid OAuth token")
        user = found[0]
        return web.json_response(
            {
                "data": [
                    {
                        "id": user.user_id,
                        "login": user.login,
                        "display_name": user.display_name,
                        "type": "",
                        "broadcaster_type": "",
                        "description": "",
                        "created_at": "2020-01-01T00:00:00Z",
                    }
                ]
            }
        )

    async def _streams(self, request: web.Request) -> web.Response:
        self.state.requests.append("streams")
        if self.state.user_of(_bearer(request, "Bearer")) is None:
            return _error(401, "Invalid OAuth token")
        return web.json_response({"data": [], "pagination": {}})

    # ---- faults ------------------------------------------------------------------------------------------------

    async def _fault(self, endpoint: Endpoint) -> web.Response | None:
        self.state.requests.append(endpoint)
        fault = self.state.next_fault(endpoint)
        if fault is None:
            return None
        if fault == "slow":
            await self._closing.wait()
            return _error(503, "closing")
        return web.Response(text="<html>not JSON</html>") if fault == "garbage" else _error(fault, "on command")

    async def _command(self, request: web.Request) -> web.Response:
        """POST /faults: {"endpoint": "token", "faults": [429, "slow"]}, or {"do": "expire-codes" | "expire-tokens" |
        "disconnect" | "rename", "user": id, "login": new}."""
        if request.content_type != "application/json":
            return _error(415, "send application/json")
        try:
            self._do(orjson.loads(await request.read()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            return _error(400, f"not a command: {error}")
        return web.Response(status=204)

    def _do(self, said: dict[str, object]) -> None:
        match said.get("do"):
            case None:
                endpoint, faults = said["endpoint"], said["faults"]
                known = next((one for one in ENDPOINTS if one == endpoint), None)
                if known is None or not isinstance(faults, list):
                    raise ValueError(f"endpoint may be one of {', '.join(ENDPOINTS)}")
                self.state.fail(known, *map(_fault_of, faults))
            case "expire-codes":
                self.state.expire_codes()
            case "expire-tokens":
                self.state.expire_tokens()
            case "disconnect":
                self.state.disconnect(str(said["user"]))
            case "rename":
                self.state.rename(str(said["user"]), str(said["login"]))
            case other:
                raise ValueError(f"{other!r} is not known")


@contextlib.asynccontextmanager
async def served(state: LoginState, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[LocalTwitch]:
    """The local Twitch while the block runs; port 0 takes a free one. Raises TwitchLoginError."""
    if host not in LOOPBACK:
        raise TwitchLoginError(f"{host!r} is not on this machine alone, and here anybody may be anybody; use 127.0.0.1")
    twitch = LocalTwitch(state)
    runner = web.AppRunner(twitch.application(), access_log=None)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise TwitchLoginError(
                f"cannot listen on {host} port {port}: {error.strerror}; give another port"
            ) from None
        taken = runner.addresses[0][1]
        twitch.url = f"http://[{host}]:{taken}" if ":" in host else f"http://{host}:{taken}"
        yield twitch
    finally:
        twitch.stop_waiting()
        await runner.cleanup()


def _fault_of(said: object) -> Fault:
    if said == "slow" or said == "garbage":
        return said
    if isinstance(said, int) and 400 <= said <= 599:
        return said
    raise ValueError("a fault is a status of 400 to 599, slow or garbage")


def _issued(found: tuple[str, TokenPair] | None, what: str) -> web.Response:
    if found is None:
        return _error(400, f"Invalid {'authorization ' if what == 'code' else ''}{what}")
    access, pair = found
    said: dict[str, object] = {"access_token": access, "refresh_token": pair.refresh_token, "scope": []}
    return web.json_response({**said, "token_type": "bearer", "expires_in": 14_400})


def _bearer(request: web.Request, scheme: str) -> str:
    given, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if given == scheme else ""


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"status": status, "message": message}, status=status)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")


def _html(text: str, back_to: str, status: int = 200) -> web.Response:
    headers = {
        "Content-Security-Policy": page.policy(back_to),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return web.Response(text=text, content_type="text/html", status=status, headers=headers)
