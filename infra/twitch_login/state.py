"""What the local Twitch knows: applications, users, codes, tokens, and the faults it was told to have.

In: calls of its pages. Out: the same objects, changed. As dev.twitch.tv/docs/authentication says: a code is good once
and shortly, an access token for hours, a refresh token until the user disconnects the application.
"""

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

CLIENT_ID: Final = "twzrdlocal"
CLIENT_SECRET: Final = "twzrdlocalsecret"
"""No secret at all: whoever reaches the local Twitch is on this machine."""
CODE_LIFE_S: Final = 120.0
TOKEN_LIFE_S: Final = 14_400.0
MAX_USERS: Final = 10_000
MAX_GRANTS: Final = 10_000
"""Codes and grants kept; the oldest go first."""
FIRST_ID: Final = 900_000_001
"""Of users made by typing a login: far from the ids of those given."""

Endpoint = Literal["token", "validate", "revoke", "users"]
Fault = int | Literal["slow", "garbage"]
"""An HTTP status, no answer at all, or an answer that is none."""


@dataclass(slots=True)
class LocalUser:
    """One account."""

    user_id: str
    login: str
    display_name: str


@dataclass(slots=True)
class Code:
    """An authorization code on its way."""

    user_id: str
    redirect_uri: str
    good_until_s: float


@dataclass(slots=True)
class TokenPair:
    """An access token with its refresh token."""

    user_id: str
    refresh_token: str
    good_until_s: float


@dataclass
class LoginState:
    """Everything; faults are taken one for each request of their endpoint. now_s: the clock."""

    client_id: str = CLIENT_ID
    client_secret: str = field(default=CLIENT_SECRET, repr=False)
    redirect_uris: set[str] = field(default_factory=set)
    """Those registered; none: every address of this machine."""
    users: dict[str, LocalUser] = field(default_factory=dict)
    faults: dict[Endpoint, deque[Fault]] = field(default_factory=dict)
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=1_000))
    now_s: Callable[[], float] = time.monotonic
    _codes: dict[str, Code] = field(default_factory=dict, repr=False)
    _tokens: dict[str, TokenPair] = field(default_factory=dict, repr=False)

    def add_user(self, login: str, user_id: str | None = None, display_name: str | None = None) -> LocalUser:
        """That user, made where nobody has the login. Raises ValueError for what is no login, or too many users."""
        login = login.strip().lower()
        if not (login.isascii() and login.replace("_", "").isalnum() and 0 < len(login) <= 25):
            raise ValueError("a login has 1 to 25 letters, digits and underscores")
        known = next((user for user in self.users.values() if user.login == login), None)
        if known is not None and user_id in (None, known.user_id):
            return known
        if len(self.users) >= MAX_USERS:
            raise ValueError(f"there are {MAX_USERS} users already")
        user_id = user_id or str(max([FIRST_ID - 1, *(int(one) for one in self.users)]) + 1)
        user = LocalUser(user_id, login, display_name or login.title())
        self.users[user_id] = user
        return user

    def rename(self, user_id: str, login: str) -> None:
        """The same account under another login."""
        self.users[user_id].login = login

    def issue_code(self, user: LocalUser, redirect_uri: str) -> str:
        """A code for the browser."""
        code = secrets.token_hex(15)
        self._codes[code] = Code(user.user_id, redirect_uri, self.now_s() + CODE_LIFE_S)
        _trim(self._codes)
        return code

    def expire_codes(self) -> None:
        """Every code on its way is too old."""
        for code in self._codes.values():
            code.good_until_s = self.now_s()

    def redeem(self, code: str, redirect_uri: str) -> tuple[str, TokenPair] | None:
        """Tokens for a code, once; None where it is used, too old, or for another address."""
        found = self._codes.pop(code, None)
        if found is None or found.good_until_s <= self.now_s() or found.redirect_uri != redirect_uri:
            return None
        return self._issue(found.user_id)

    def refresh(self, refresh_token: str) -> tuple[str, TokenPair] | None:
        """New tokens for a refresh token, which is used up by it."""
        for access, pair in list(self._tokens.items()):
            if pair.refresh_token == refresh_token:
                del self._tokens[access]
                return self._issue(pair.user_id)
        return None

    def user_of(self, access_token: str) -> tuple[LocalUser, int] | None:
        """Whose token it is and how many seconds it is still good for."""
        pair = self._tokens.get(access_token)
        left_s = pair.good_until_s - self.now_s() if pair else 0.0
        return (self.users[pair.user_id], int(left_s)) if pair and left_s > 0 else None

    def revoke(self, access_token: str) -> bool:
        """Whether there was such a token."""
        return self._tokens.pop(access_token, None) is not None

    def expire_tokens(self) -> None:
        """Every access token is too old; refresh tokens are good."""
        for pair in self._tokens.values():
            pair.good_until_s = self.now_s()

    def disconnect(self, user_id: str) -> None:
        """The user takes the permission back: no token of theirs is good for anything."""
        self._tokens = {access: pair for access, pair in self._tokens.items() if pair.user_id != user_id}

    def open_tokens(self) -> int:
        """Pairs that were neither revoked nor disconnected."""
        return len(self._tokens)

    def fail(self, endpoint: Endpoint, *faults: Fault) -> None:
        """The next answers of that endpoint."""
        self.faults.setdefault(endpoint, deque(maxlen=1_000)).extend(faults)

    def next_fault(self, endpoint: Endpoint) -> Fault | None:
        """What the present answer should be instead; None: right."""
        waiting = self.faults.get(endpoint)
        return waiting.popleft() if waiting else None

    def _issue(self, user_id: str) -> tuple[str, TokenPair]:
        access = secrets.token_hex(15)
        pair = TokenPair(user_id, secrets.token_hex(25), self.now_s() + TOKEN_LIFE_S)
        self._tokens[access] = pair
        _trim(self._tokens)
        return access, pair


def _trim(kept: dict[str, Code] | dict[str, TokenPair]) -> None:
    while len(kept) > MAX_GRANTS:
        del kept[next(iter(kept))]
