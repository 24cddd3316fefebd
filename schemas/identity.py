"""Identities of channels and viewers: `twitch:id:<digits>`, or `twitch:login:<lowercase login>` without an id."""

import re
from collections.abc import Sequence
from typing import Final

from schemas.errors import SchemaError

MAX_IDENTITY_BYTES: Final = 512
"""Bound on an identity's UTF-8 length; real ones stay below 40."""
ANONYMOUS_GIFTER: Final = "twitch:id:274598607"
"""Twitch's shared account for anonymous gifts: never a viewer, so never folded."""

ID_PREFIX: Final = "twitch:id:"
LOGIN_PREFIX: Final = "twitch:login:"
_FORM = re.compile(r"twitch:(?:id:[0-9]{1,20}|login:[^\s\0:][^\s\0]*)")
_FORM_LINES = re.compile(r"(?:twitch:(?:id:[0-9]{1,20}|login:[^\s\0:][^\s\0]*)\n)*")


def of_id(digits: str) -> str:
    """The identity of a Twitch numeric id; leading zeros are kept, as the tag gave them."""
    return ID_PREFIX + digits


def of_login(login: str) -> str:
    """The identity of somebody known only by login; only ASCII letters are lowered."""
    return LOGIN_PREFIX + ascii_lower(login)


def ascii_lower(text: str) -> str:
    """Lowercase A-Z only, so that no locale or Unicode table is part of the contract."""
    return text.encode().lower().decode()


def check(identity: str) -> str:
    """Return identity, or raise SchemaError where it has neither documented form."""
    if _FORM.fullmatch(identity) is None or len(identity.encode()) > MAX_IDENTITY_BYTES:
        raise SchemaError(
            f"identity {identity[:80]!r} is neither 'twitch:id:<digits>' nor 'twitch:login:<login>'; "
            "write it in one of these forms, without white space and U+0000"
        )
    return identity


def check_all(identities: Sequence[str]) -> None:
    """As check for each of them, in one pass: no identity has white space in it, so lines can be matched at once."""
    lines = "\n".join(identities) + "\n" if identities else ""
    if (
        _FORM_LINES.fullmatch(lines) is None
        or lines.count("\n") != len(identities)
        or len(max(identities, key=len, default="")) * 4 > MAX_IDENTITY_BYTES
    ):
        for identity in identities:
            check(identity)
