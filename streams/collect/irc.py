"""IRC grammar: one line of bytes -> tags, source, verb, params, and back. First step of collect; knows no Twitch.

Rules: RFC 1459 section 2.3.1 (any number of spaces between atoms) and IRCv3 message tags; checked against the
suite of ircdocs (shared vectors, irc/). This is the plain, slow reading; `fast_irc` must agree with it on every line.
"""

from dataclasses import dataclass, field
from typing import Final

from schemas.errors import TwzrdError

_UNESCAPED: Final = {ord(":"): b";", ord("s"): b" ", ord("\\"): b"\\", ord("r"): b"\r", ord("n"): b"\n"}
_ESCAPES: Final = ((b"\\", b"\\\\"), (b";", b"\\:"), (b" ", b"\\s"), (b"\r", b"\\r"), (b"\n", b"\\n"))


class Malformed(TwzrdError):
    """A line that is not of the documented form. Its text is one of a fixed set and quotes nothing of the line."""


@dataclass(frozen=True, slots=True)
class Message:
    """One IRC message. Tag values are unescaped, empty where there is none; of a doubled tag the last counts."""

    verb: bytes
    params: list[bytes] = field(default_factory=list)
    source: bytes | None = None
    tags: dict[bytes, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Userhost:
    """The parts of a source `nick!user@host`; absent parts are empty."""

    nick: bytes
    user: bytes
    host: bytes


def parse_line(line: bytes) -> Message:
    """Read one line, given without its line end. Raises Malformed where there is no verb."""
    tags: dict[bytes, bytes] = {}
    source: bytes | None = None
    rest = line
    if rest.startswith(b"@"):
        raw_tags, _, rest = rest[1:].partition(b" ")
        tags = _parse_tags(raw_tags)
        rest = rest.lstrip(b" ")
    if rest.startswith(b":"):
        source, _, rest = rest[1:].partition(b" ")
        rest = rest.lstrip(b" ")
    verb, _, rest = rest.partition(b" ")
    if not verb:
        raise Malformed("line has no command")
    params: list[bytes] = []
    while rest := rest.lstrip(b" "):
        if rest.startswith(b":"):
            params.append(rest[1:])
            break
        param, _, rest = rest.partition(b" ")
        params.append(param)
    return Message(verb, params, source, tags)


def _parse_tags(raw: bytes) -> dict[bytes, bytes]:
    tags = {key: value for key, _, value in [pair.partition(b"=") for pair in raw.split(b";")]}
    tags.pop(b"", None)
    if b"\\" in raw:
        return {key: unescape(value) for key, value in tags.items()}
    return tags


def unescape(value: bytes) -> bytes:
    r"""A tag value as meant: `\:` is `;`, `\s` a space, `\\`, `\r`, `\n`; a stray backslash is dropped (IRCv3)."""
    out = bytearray()
    escaped = False
    for byte in value:
        if escaped:
            out += _UNESCAPED.get(byte, bytes((byte,)))
            escaped = False
        elif byte == 0x5C:
            escaped = True
        else:
            out.append(byte)
    return bytes(out)


def escape(value: bytes) -> bytes:
    """The reverse of `unescape`."""
    for plain, escaped in _ESCAPES:
        value = value.replace(plain, escaped)
    return value


def format_line(message: Message) -> bytes:
    """One line without its line end. Raises Malformed where a part cannot stand in its place."""
    parts: list[bytes] = []
    if message.tags:
        parts.append(b"@" + b";".join(k + b"=" + escape(v) if v else k for k, v in message.tags.items()))
    if message.source is not None:
        parts.append(b":" + message.source)
    parts.append(message.verb)
    for position, param in enumerate(message.params):
        if param and not param.startswith(b":") and b" " not in param:
            parts.append(param)
        elif position == len(message.params) - 1:
            parts.append(b":" + param)
        else:
            raise Malformed("only the last parameter may be empty, start with ':' or hold a space")
    return b" ".join(parts)


def split_userhost(source: bytes) -> Userhost:
    """nick, user and host of a source; without `!` or `@` all of it is the nick."""
    front, _, host = source.partition(b"@")
    nick, _, user = front.partition(b"!")
    return Userhost(nick, user, host)
