"""Lines that no honest server sends. None of them is an event: a reader that makes one of them is wrong."""

from collections.abc import Callable, Iterator
from typing import Final

ENDLESS_BYTES: Final = 32 * 1024 * 1024
MANY_TAGS: Final = 100_000
_PIECE: Final = b"x" * 65_536


def _endless(login: bytes) -> Iterator[bytes]:
    yield b"@id=1 :a!a@a.tmi.twitch.tv PRIVMSG #" + login + b" :"
    for _ in range(ENDLESS_BYTES // len(_PIECE)):
        yield _PIECE
    yield b"\r\n"


def _many_tags(login: bytes) -> Iterator[bytes]:
    tags = b";".join(b"tag%d=%d" % (number, number) for number in range(MANY_TAGS))
    yield b"@" + tags + b" :a!a@a.tmi.twitch.tv PRIVMSG #" + login + b" :many tags\r\n"


def _invalid_utf8(login: bytes) -> Iterator[bytes]:
    stamp = b"@id=1;tmi-sent-ts=1767225600000;user-id=1;room-id=1 "
    yield stamp + b":\xff\xfe!\xff@\xff.tmi.twitch.tv PRIVMSG #" + login + b" :\xc3\x28 \xf0\x28\x8c\x28\r\n"
    yield stamp + b":a!a@a.tmi.twitch.tv PRIVMSG #\xff\xff :x\r\n"
    yield b":tmi.twitch.tv NOTICE #" + login + b" :\xff\xff\xff\r\n"


def _forged(login: bytes) -> Iterator[bytes]:
    yield b":tmi.twitch.tv PRIVMSG #" + login + b" :forged, without a time\r\n"
    yield b"@room-id=1 :a!a@a.tmi.twitch.tv ROOMSTATE #somebody_else_" + login + b"\r\n"
    yield b":a!a@a.tmi.twitch.tv JOIN #somebody_else_" + login + b"\r\n"
    yield b":a!a@a.tmi.twitch.tv PART #" + login + b"\r\n"
    yield b"@msg-id=msg_channel_suspended :a!a@a NOTICE #somebody_else_" + login + b" :gone\r\n"
    yield b":a!a@a.tmi.twitch.tv 366 nobody #" + login + b" :End of /NAMES list\r\n"


def _control_bytes(login: bytes) -> Iterator[bytes]:
    yield b":tmi.twitch.tv NOTICE #" + login + b" :\x1b[2J\x1b]0;owned\x07\x00\x08\r\n"
    yield b":tmi.twitch.tv NOTICE #\x1b[31m" + login + b" :\x9b31m\r\n"
    yield b"\x00\x01\x02\x1b\x7f\r\n"
    yield b"@id=\x1b[2J :\x1b[2J!a@a PRIVMSG #" + login + b" :x\ry\x0bz\r\n"


def _nonsense(login: bytes) -> Iterator[bytes]:
    yield b"\r\n\r\n\n"
    yield b"@\r\n:\r\n@ \r\n:a\r\n@a=b\r\n   \r\n"
    yield b"PRIVMSG\r\nPRIVMSG #" + login + b"\r\nJOIN\r\nPART\r\nNOTICE\r\nROOMSTATE\r\nCAP\r\nPONG\r\n001\r\n"
    yield b"@" + b";" * 2000 + b" PRIVMSG #" + login + b" :x\r\n"
    yield b"FLY #" + login + b" :an unknown command\r\n"


KINDS: Final[dict[str, Callable[[bytes], Iterator[bytes]]]] = {
    "endless-line": _endless,
    "many-tags": _many_tags,
    "invalid-utf8": _invalid_utf8,
    "forged": _forged,
    "control-bytes": _control_bytes,
    "nonsense": _nonsense,
}
"""By name: what is sent, in pieces; each takes a channel's login."""
