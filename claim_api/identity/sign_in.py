"""Signing in with Twitch: to Twitch with a state of one use, back with a code, out with a session. And signing out.

In: browsers' requests. Out: redirects and cookies. Whatever goes wrong at the callback ends at the return path with
`?sign_in=<code>` and words for people in the body; the database alone can make it a 503.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import parse_qsl

from claim_api.answer import PRIVATE, SECURITY, Answer, answer, json_answer
from claim_api.errors import ApiError
from claim_api.identity import return_path
from claim_api.identity.cookies import cookie
from claim_api.identity.origin import check_origin
from claim_api.identity.session_key import SECRET_BYTES, SessionKey, decoded, encoded, hash_of
from claim_api.identity.sessions import Sessions
from claim_api.identity.sql import sql
from claim_api.identity.twitch import CodeRefused, Grant, TwitchError, TwitchGarbled, TwitchLogin, User
from claim_api.limits import Limits
from claim_api.part_counters import PartCounters
from claim_api.request import Request
from claim_api.routing import Route, method_not_allowed
from claim_api.web_database import WebDatabase

logger: Final = logging.getLogger("twzrd.api")
STATE_LIFE_S: Final = 600
MAX_FIELDS: Final = 16
MAX_CODE_CHARS: Final = 256
MAX_NAME_CHARS: Final = 100

OUTCOMES: Final = {
    "state": ("This sign-in was not begun in this browser, or longer than ten minutes ago.", "Sign in again."),
    "denied": ("You chose not to sign in.", "Sign in again when you like."),
    "expired": ("Twitch's code was used already or is too old.", "Sign in again."),
    "revoked": ("Twitch took the permission back at once.", "Sign in again and allow it."),
    "client": ("Twitch does not know this site.", "Tell its operator: Twitch client id or secret is wrong."),
    "busy": ("Twitch has too much to do.", "Sign in again in a minute."),
    "away": ("Twitch does not answer.", "Sign in again in a minute."),
    "garbled": ("Twitch's answer could not be read.", "Sign in again; tell the operator if it stays so."),
}
"""By the code of ?sign_in=: what happened and what to do, for people."""


class SignIn:
    """The part of signing in and out. hand_back: called after a session ended, to take its token back at Twitch."""

    def __init__(
        self,
        database: WebDatabase,
        sessions: Sessions,
        key: SessionKey,
        twitch: TwitchLogin,
        limits: Limits,
        counters: PartCounters,
        public_url: str,
        hand_back: Callable[[], None],
    ) -> None:
        self._database, self._sessions, self._key, self._twitch = database, sessions, key, twitch
        self._limits, self._counters, self._hand_back = limits, counters, hand_back
        self._browser = cookie("twzrd-browser", public_url)

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        begin = {"GET": self.begin, "POST": self.begin}
        return (
            Route("sign_in", "auth/twitch/login", begin),
            Route("sign_in", "api/auth/twitch/login", {"GET": self.begin}),
            Route("sign_in_callback", "auth/twitch/callback", {"GET": self.callback}),
            Route("sign_in_callback", "api/auth/twitch/callback", {"GET": self.callback}),
            Route("sign_out", "auth/sign-out", {"POST": self.sign_out}),
        )

    async def start(self) -> None:
        """Nothing is asked of Twitch yet."""
        await self._twitch.open()

    async def stop(self) -> None:
        """Lets Twitch's connections go."""
        await self._twitch.close()

    async def begin(self, request: Request) -> Answer:
        """302 (GET) or 303 (POST) to Twitch, with a new state that only this browser can use, once."""
        self._allow(request)
        fields = request.query(("return",))
        path = return_path.check(fields.get("return", "/"))
        if request.method == "POST":
            check_origin(request, self._sessions.origin)
            await request.body()
        elif request.head:
            raise method_not_allowed("HEAD", ("POST",))
        # The same secret for all sign-ins that this browser has under way, so that two tabs do not disturb each other.
        known = self._browser.value(request)
        browser = (known and self._key.verified(self._browser.name, known)) or secrets.token_bytes(SECRET_BYTES)
        state = secrets.token_bytes(SECRET_BYTES)
        await self._database.execute(sql("put_state"), hash_of(state), hash_of(browser), path, STATE_LIFE_S)
        self._counters.counts["sign_ins", "begun"] += 1
        made = answer(b"", status=303 if request.method == "POST" else 302)
        made.headers.append((b"location", self._twitch.authorize_url(encoded(state)).encode("ascii")))
        made.headers.append(self._browser.set(self._key.sign(self._browser.name, browser), STATE_LIFE_S))
        return made

    async def callback(self, request: Request) -> Answer:
        """303 to the return path: with a session, or with ?sign_in=<code>."""
        if request.head:  # a look must not use the state up
            raise method_not_allowed("HEAD", ("POST",))
        self._allow(request)
        fields = _fields(request)
        path = await self._return_path(request, fields.get("state", ""))
        if path is None:
            return self._failed("/", "state")
        if "error" in fields:
            return self._failed(path, "denied" if fields["error"] == "access_denied" else "away")
        try:
            grant, viewer_key, login, display_name = await self._who(fields.get("code", ""))
        except TwitchError as error:
            logger.warning("a sign-in failed: %s: %s", error.code, error)
            return self._failed(path, error.code)
        async with self._database.transaction() as connection:
            await self._end_former(connection, request)
            _, value = await self._sessions.begin(connection, viewer_key, login, display_name, grant.packed())
        self._counters.counts["sign_ins", "done"] += 1
        made = answer(b"", status=303)
        made.headers.append((b"location", path.encode("ascii")))
        made.headers.append(self._sessions.cookie.set(value, self._sessions.life_s))
        return made

    async def sign_out(self, request: Request) -> Answer:
        """204: the session is over here, and soon at Twitch."""
        viewer = await self._sessions.viewer_for_change(request)
        async with self._database.transaction() as connection:
            await self._sessions.revoke(connection, viewer, "signed out")
        self._hand_back()
        return Answer(204, [(b"cache-control", PRIVATE), *SECURITY, self._sessions.cookie.clear()], b"")

    def _allow(self, request: Request) -> None:
        self._limits.take_of_address("sign_in", request)
        self._limits.take("sign_in_all", "")

    async def _return_path(self, request: Request, state: str) -> str | None:
        """Of the state, which is used up by this; None where it is none of this browser's."""
        secret, value = decoded(state) if len(state) == 43 else None, self._browser.value(request)
        browser = None if value is None else self._key.verified(self._browser.name, value)
        if secret is None or browser is None:
            return None
        row = await self._database.fetchrow(sql("take_state"), hash_of(secret))
        if row is None or not row["fresh"] or not secrets.compare_digest(row["browser_hash"], hash_of(browser)):
            return None
        path: str = row["return_path"]
        return path

    async def _who(self, code: str) -> tuple[Grant, int, str, str]:
        """Grant, viewer key, login and display name of a code. Raises TwitchError."""
        if not 0 < len(code) <= MAX_CODE_CHARS:
            raise CodeRefused("the callback brought no code")
        grant = await self._twitch.exchange(code)
        said = await self._twitch.validate(grant)
        try:
            user = await self._twitch.user(grant)
        except TwitchError as error:  # the name is for show only; the id is what counts
            self._counters.counts["sign_ins", "without_display_name"] += 1
            logger.warning("display name of %s cannot be learnt: %s", said.user_id, error)
            user = User(said.user_id, said.login, said.login)
        if user.id != said.user_id:
            raise TwitchGarbled("users and validate name different users")
        if not 0 < len(said.login) <= MAX_NAME_CHARS or len(user.display_name) > MAX_NAME_CHARS:
            raise TwitchGarbled("a name is empty or too long")
        return grant, said.viewer_key, said.login, user.display_name

    async def _end_former(self, connection: object, request: Request) -> None:
        """A browser has one session: the one it brought ends."""
        try:
            former = await self._sessions.viewer(request)
        except ApiError as error:
            if error.status != 401:
                raise
            return
        await self._sessions.revoke(connection, former, "replaced")
        self._hand_back()

    def _failed(self, path: str, code: str) -> Answer:
        self._counters.counts["sign_ins", code] += 1
        message, mend = OUTCOMES[code]
        made = json_answer({"code": code, "message": message, "mend": mend}, status=303)
        made.headers.append((b"location", return_path.with_outcome(path, code).encode("ascii")))
        return made


def _fields(request: Request) -> dict[str, str]:
    """Twitch's query: fields that we do not know may come, none may come twice."""
    try:
        pairs = parse_qsl(request.query_string.decode("ascii"), max_num_fields=MAX_FIELDS, errors="strict")
    except (ValueError, UnicodeDecodeError):
        return {}
    fields = dict(pairs)
    return fields if len(fields) == len(pairs) else {}
