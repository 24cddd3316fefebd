"""What Twitch's chat server says, word for word: replies as bytes with their line ends. Pure; used by `session`.

Sources: dev.twitch.tv/docs/irc (commands, tags, capabilities, msg-id), and what clients in the field report: a JOIN
over the limit and a JOIN of a login that is nobody's get no answer at all.
"""

from collections.abc import Sequence
from typing import Final

CAPABILITIES: Final = ("twitch.tv/commands", "twitch.tv/membership", "twitch.tv/tags")
NAMES_OF_A_LIST: Final = 40
"""So that a line of names stays within IRC's 512 bytes, with logins of ordinary length."""
RECONNECT: Final = b":tmi.twitch.tv RECONNECT\r\n"
PING: Final = b"PING :tmi.twitch.tv\r\n"
LOGIN_FAILED: Final = b":tmi.twitch.tv NOTICE * :Login authentication failed\r\n"
BAD_AUTH: Final = b":tmi.twitch.tv NOTICE * :Improperly formatted auth\r\n"
_NOTICES: Final = {
    "msg_banned": "You are permanently banned from talking in {channel}.",
    "msg_channel_suspended": "This channel does not exist or has been suspended.",
    "msg_ratelimit": "Your message was not sent because you are sending messages too quickly.",
    "msg_room_not_found": "This room is not found.",
    "msg_concurrent_channel_limit_reached": "You have joined too many channels at once.",
    "tos_ban": "The community has closed channel {channel} due to Terms of Service violations.",
}


def welcome(nick: str) -> bytes:
    """What follows a good NICK."""
    lines = (
        f"001 {nick} :Welcome, GLHF!",
        f"002 {nick} :Your host is tmi.twitch.tv",
        f"003 {nick} :This server is rather new",
        f"004 {nick} :-",
        f"375 {nick} :-",
        f"372 {nick} :You are in a maze of twisty passages, all alike.",
        f"376 {nick} :>",
    )
    return "".join(f":tmi.twitch.tv {line}\r\n" for line in lines).encode()


def capabilities() -> bytes:
    """Answer to CAP LS."""
    return f":tmi.twitch.tv CAP * LS :{' '.join(CAPABILITIES)}\r\n".encode()


def capability_answer(nick: str, asked: list[str]) -> tuple[bytes, bool]:
    """Answer to CAP REQ, and whether it was granted: all of it or none, as IRCv3 has it."""
    granted = all(one in CAPABILITIES for one in asked)
    return f":tmi.twitch.tv CAP {nick} {'ACK' if granted else 'NAK'} :{' '.join(asked)}\r\n".encode(), granted


def joined(nick: str, login: str, others: Sequence[str] = ()) -> bytes:
    """Echo of a JOIN and the list of names: the client itself, and others where it asked for membership."""
    lists = [f":{nick}.tmi.twitch.tv 353 {nick} = #{login} :{' '.join(names)}\r\n" for names in _lists([nick, *others])]
    return (
        f"{came(nick, login).decode()}{''.join(lists)}:{nick}.tmi.twitch.tv 366 {nick} #{login} :End of /NAMES list\r\n"
    ).encode()


def _lists(names: list[str]) -> list[list[str]]:
    return [names[start : start + NAMES_OF_A_LIST] for start in range(0, len(names), NAMES_OF_A_LIST)]


def came(nick: str, login: str) -> bytes:
    """Somebody's JOIN."""
    return f":{nick}!{nick}@{nick}.tmi.twitch.tv JOIN #{login}\r\n".encode()


def parted(nick: str, login: str) -> bytes:
    """Somebody's PART."""
    return f":{nick}!{nick}@{nick}.tmi.twitch.tv PART #{login}\r\n".encode()


def room_state(login: str, room_id: str, *, tags: bool) -> bytes:
    """ROOMSTATE; a room of which no id is known says none, as Twitch never does."""
    shown = f"@emote-only=0;followers-only=-1;r9k=0;room-id={room_id};slow=0;subs-only=0 " if tags else ""
    return f"{shown}:tmi.twitch.tv ROOMSTATE #{login}\r\n".encode()


def user_state(login: str, nick: str, *, tags: bool) -> bytes:
    """USERSTATE of a logged-in client in a channel."""
    shown = f"@badge-info=;badges=;color=;display-name={nick};emote-sets=0;mod=0;subscriber=0;user-type= "
    return f"{shown if tags else ''}:tmi.twitch.tv USERSTATE #{login}\r\n".encode()


def global_user_state(nick: str, *, tags: bool) -> bytes:
    """GLOBALUSERSTATE of a logged-in client."""
    shown = f"@badge-info=;badges=;color=;display-name={nick};emote-sets=0;user-id=1;user-type= "
    return f"{shown if tags else ''}:tmi.twitch.tv GLOBALUSERSTATE\r\n".encode()


def notice(login: str, msg_id: str, *, tags: bool) -> bytes:
    """NOTICE of a channel by its msg-id. Raises KeyError for one that this server does not say."""
    text = _NOTICES[msg_id].format(channel=login)
    return f"{f'@msg-id={msg_id} ' if tags else ''}:tmi.twitch.tv NOTICE #{login} :{text}\r\n".encode()


def pong(token: bytes) -> bytes:
    """Answer to a PING with that token."""
    return b":tmi.twitch.tv PONG tmi.twitch.tv :" + token + b"\r\n"


def unknown_command(nick: str, verb: str) -> bytes:
    """Numeric 421."""
    return f":tmi.twitch.tv 421 {nick} {verb} :Unknown command\r\n".encode()
