"""Twitch rules: one IRC line -> one event, a named skip, or Malformed (design: From a line to an event). After `irc`.

This is the plain, slow reading and the oracle of `fast_irc`. Choices where the rules leave room:
a tag with an empty value counts as absent (IRCv3; Twitch sends `room-id=` on CLEARMSG); a PRIVMSG needs a text, since
without one it was cut off; a raid without viewer count has amount 0; a line with `source-room-id` and no `room-id` is
a copy.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from blake3 import blake3

from schemas import identity as identities
from schemas.columns import BAN, DELETION, GIFT, MAX_AT_MS, MESSAGE, MIN_AT_MS, NOTICE, RAID, RESUB, SUB
from schemas.errors import SchemaError
from streams.collect.irc import Malformed, Message, parse_line, split_userhost

MAX_LOGIN_BYTES: Final = 64
"""Twitch logins have at most 25."""
MAX_ID_DIGITS: Final = 20
MAX_AMOUNT: Final = 2**32 - 1
DERIVED_ID_PREFIX: Final = b"twzrd/derived-id/v1"

SHARED_CHAT_COPIES: Final = "shared_chat_copies"
IGNORED_COMMANDS: Final = "ignored_commands"
ROOM_CLEARS: Final = "room_clears"
NOTICES_WITHOUT_USER: Final = "notices_without_user"

_NOTICE_KINDS: Final = {b"sub": SUB, b"resub": RESUB, b"subgift": GIFT, b"anonsubgift": GIFT, b"raid": RAID}
_IGNORED_VERBS: Final = frozenset(
    b"JOIN PART PING PONG CAP NOTICE ROOMSTATE USERSTATE GLOBALUSERSTATE HOSTTARGET RECONNECT WHISPER MODE NICK PASS "
    b"USER QUIT ERROR TOPIC".split()
)
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")
_PLAIN_LOGIN: Final = re.compile(rb"[A-Za-z0-9_]{1,64}")


class Event(NamedTuple):
    """One event. at_ms UTC; id 16 bytes, or None where it must be derived from the line and its place in the input."""

    channel: str
    channel_login: str
    at_ms: int
    id: bytes | None
    kind: int
    viewer: str
    login: str
    amount: int


class Skip(NamedTuple):
    """A line that is no event of its channel by a named rule; `rule` is the counter's name."""

    rule: str


def read_line(line: bytes, stamped_at_ms: int | None = None) -> Event | Skip:
    """The event of one line (no line end). stamped_at_ms: its time where it bears none itself. Raises Malformed."""
    return read_message(parse_line(line), stamped_at_ms)


def read_message(message: Message, stamped_at_ms: int | None = None) -> Event | Skip:
    """The event of one parsed line, as `read_line`."""
    tags, verb, params = message.tags, message.verb, message.params
    if verb not in (b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG"):
        if verb in _IGNORED_VERBS or (len(verb) == 3 and verb.isdigit()):
            return Skip(IGNORED_COMMANDS)
        raise Malformed("unknown command")
    source_room = tags.get(b"source-room-id", b"")
    if source_room and source_room != tags.get(b"room-id", b""):
        return Skip(SHARED_CHAT_COPIES)
    user_id = tags.get(b"user-id", b"")
    kind, amount = MESSAGE, 0
    if verb == b"PRIVMSG":
        if len(params) < 2:
            raise Malformed("PRIVMSG has no text")
        login = split_userhost(message.source or b"").nick
        amount = _amount(tags.get(b"bits", b""), "bits")
    elif verb == b"USERNOTICE":
        login = tags.get(b"login", b"")
        notice = tags.get(b"msg-id", b"")
        kind = _NOTICE_KINDS.get(notice, NOTICE)
        if not login and kind == NOTICE:
            return Skip(NOTICES_WITHOUT_USER)
        if kind == RAID:
            amount = _amount(tags.get(b"msg-param-viewerCount", b""), "msg-param-viewerCount")
    elif verb == b"CLEARCHAT":
        if len(params) < 2 or not params[1]:
            return Skip(ROOM_CLEARS)
        kind, login, user_id = BAN, params[1], tags.get(b"target-user-id", b"")
    else:
        kind, login, user_id = DELETION, tags.get(b"login", b""), b""
    if not params or not params[0].startswith(b"#"):
        raise Malformed("no channel")
    channel_login = read_login(params[0][1:], "channel")
    viewer_login = read_login(login, "user")
    return Event(
        _identity(tags.get(b"room-id", b""), "room-id", channel_login),
        channel_login,
        _time(tags.get(b"tmi-sent-ts", b""), stamped_at_ms),
        event_id(tags.get(b"id", b"")),
        kind,
        _identity(user_id, "user-id", viewer_login),
        viewer_login,
        amount,
    )


@lru_cache(maxsize=4_096)  # reading anew takes 0.3 µs more; one kept weighs 0.3 kB
def read_login(raw: bytes, of: str) -> str:
    """A login as text, ASCII-lowercased. `of` names whose it is. Raises Malformed where it cannot be one."""
    if not raw:
        raise Malformed(f"{of} has no login")
    if _PLAIN_LOGIN.fullmatch(raw):
        return raw.lower().decode()
    try:
        login = raw.lower().decode()
        identities.check(identities.of_login(login))
    except (UnicodeDecodeError, SchemaError) as error:
        raise Malformed(f"{of} login is not a login") from error
    if len(raw) > MAX_LOGIN_BYTES or _CONTROL.search(raw):
        raise Malformed(f"{of} login is not a login")
    return login


def check_time(at_ms: int) -> int:
    """at_ms, where it lies in 2011..2099 (UTC). Raises Malformed."""
    if not MIN_AT_MS <= at_ms < MAX_AT_MS:
        raise Malformed("time is not in 2011..2099")
    return at_ms


def event_id(raw: bytes) -> bytes | None:
    """16 bytes of an id as given: a UUID's own bytes, of any other id its hash; None where there is none."""
    if not raw:
        return None
    if _UUID.fullmatch(raw):
        return bytes.fromhex(raw.replace(b"-", b"").decode())
    return blake3(raw).digest(16)


def derived_id(line: bytes, earlier: int) -> bytes:
    """The id of an event that has none. line: with its time stamp, no line end; earlier: identical lines before it."""
    return blake3(DERIVED_ID_PREFIX + line + earlier.to_bytes(4, "little")).digest(16)


def _time(raw: bytes, stamped_at_ms: int | None) -> int:
    if raw:
        return check_time(_number(raw, "tmi-sent-ts"))
    if stamped_at_ms is None:
        raise Malformed("no tmi-sent-ts")
    return check_time(stamped_at_ms)


def _amount(raw: bytes, name: str) -> int:
    amount = _number(raw, name) if raw else 0
    if amount > MAX_AMOUNT:
        raise Malformed(f"{name} does not fit 32 bits")
    return amount


def _number(raw: bytes, name: str) -> int:
    if not raw.isdigit() or len(raw) > MAX_ID_DIGITS:
        raise Malformed(f"{name} is not a number")
    return int(raw)


def _identity(raw_id: bytes, name: str, login: str) -> str:
    if not raw_id:
        return identities.LOGIN_PREFIX + login
    if not raw_id.isdigit() or len(raw_id) > MAX_ID_DIGITS:
        raise Malformed(f"{name} is not a number")
    return identities.ID_PREFIX + raw_id.decode()
