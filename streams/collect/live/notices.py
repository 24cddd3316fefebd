"""What a server says against a channel, sorted into what it means for us. NOTICE by its msg-id, else numerics.

Source: the list of msg-id values in Twitch's IRC documentation; RFC 2812 section 5.2 for the numerics of other servers.
"""

from enum import Enum
from typing import Final, NamedTuple

from streams.collect.irc import Message


class Refusal(Enum):
    """Why a channel cannot be heard now. The value is shown to people."""

    NO_ANSWER = "no answer to JOIN"
    NOT_FOUND = "does not exist"
    SUSPENDED = "suspended"
    BANNED = "banned there"
    FORBIDDEN = "not open to us"
    RATE_LIMITED = "rate limited"
    CHANNEL_LIMIT = "too many channels on the connection"
    PUT_OUT = "put out by the server"
    RENAMED = "renamed"


class Said(NamedTuple):
    """A refusal of one channel."""

    login: str
    refusal: Refusal
    word: str
    """The msg-id or numeric: one of the tables below, so harmless to show."""


_BY_MSG_ID: Final = {
    b"msg_channel_suspended": Refusal.SUSPENDED,
    b"msg_suspended": Refusal.SUSPENDED,
    b"tos_ban": Refusal.SUSPENDED,
    b"msg_room_not_found": Refusal.NOT_FOUND,
    b"msg_banned": Refusal.BANNED,
    b"msg_channel_blocked": Refusal.BANNED,
    b"msg_ratelimit": Refusal.RATE_LIMITED,
    b"msg_join_ratelimit": Refusal.RATE_LIMITED,
    b"msg_concurrent_channel_limit_reached": Refusal.CHANNEL_LIMIT,
}
_BY_NUMERIC: Final = {
    b"263": Refusal.RATE_LIMITED,
    b"403": Refusal.NOT_FOUND,
    b"405": Refusal.CHANNEL_LIMIT,
    b"437": Refusal.RATE_LIMITED,
    b"471": Refusal.FORBIDDEN,
    b"473": Refusal.FORBIDDEN,
    b"474": Refusal.BANNED,
    b"475": Refusal.FORBIDDEN,
    b"476": Refusal.NOT_FOUND,
    b"477": Refusal.FORBIDDEN,
    b"479": Refusal.NOT_FOUND,
    b"489": Refusal.FORBIDDEN,
    b"520": Refusal.FORBIDDEN,
}


def channel_login(param: bytes) -> str | None:
    """`#login` -> login in lowercase; None where it is not the name of a channel."""
    if not param.startswith(b"#") or not param.isascii():
        return None
    return param[1:].lower().decode()


def refusal_of(message: Message) -> Said | None:
    """The refusal that a NOTICE or numeric speaks; None for all that means nothing for membership."""
    if message.verb == b"NOTICE":
        login = channel_login(message.params[0]) if message.params else None
        refusal = _BY_MSG_ID.get(message.tags.get(b"msg-id", b""))
        return None if login is None or refusal is None else Said(login, refusal, message.tags[b"msg-id"].decode())
    refusal = _BY_NUMERIC.get(message.verb)
    if refusal is None or len(message.params) < 2:
        return None
    login = channel_login(message.params[1])
    return None if login is None else Said(login, refusal, message.verb.decode())
