"""From a fresh connection to a welcome: CAP, PASS, NICK, USER, as a pure state machine. Messages in, bytes out.

All is sent at once, which saves two round trips. Each capability is asked for by itself, so that a server that refuses
one still grants the other; a server that knows none of Twitch's refuses both and is used without. CAP END is sent when
all are answered: other servers hold the welcome back until then, Twitch does not mind.
"""

import random
from typing import Final

from streams.collect.irc import Message

CAPABILITIES: Final = (b"twitch.tv/tags", b"twitch.tv/commands")
MEMBERSHIP: Final = b"twitch.tv/membership"
"""Only where it is wanted: nothing here is made of who comes and goes, and Twitch stops saying so in large channels."""
PASSWORD: Final = b"SCHMOOPIIE"
"""Any word does for an anonymous nick."""
_REFUSALS: Final = {b"464", b"465", b"463", b"451"}
_NICK_TAKEN: Final = {b"433", b"436", b"432"}
_NICK_TRIES: Final = 5


def anonymous_nick(chance: random.Random) -> bytes:
    """A nick of the form that Twitch lets read without an account."""
    return b"justinfan%d" % chance.randrange(10_000, 10_000_000)


class Handshake:
    """One connection's registration. membership: whether that is asked for, too. `welcomed` and `refused` say how it
    went."""

    def __init__(self, chance: random.Random, *, membership: bool = False) -> None:
        self._chance = chance
        self._open = [*CAPABILITIES, MEMBERSHIP] if membership else list(CAPABILITIES)
        self._nick_tries = 0
        self.nick = anonymous_nick(chance)
        self.granted: set[bytes] = set()
        self.denied: set[bytes] = set()
        self.welcomed = False
        self.refused = ""
        """Why the server will not have us, empty where it did not say so."""

    def opening(self) -> bytes:
        """What is sent first."""
        lines = [b"CAP REQ :" + name for name in self._open]
        lines += [b"PASS " + PASSWORD, b"NICK " + self.nick, b"USER " + self.nick + b" 0 * :" + self.nick]
        return b"".join(line + b"\r\n" for line in lines)

    def take(self, message: Message) -> bytes:
        """Go on by one message of the server; returns what to send now."""
        verb, params = message.verb, message.params
        if verb == b"CAP" and len(params) >= 3:
            return self._capabilities(params[1].upper(), params[2].split())
        if verb == b"421" and b"CAP" in params[:2]:
            return self._capabilities(b"NAK", list(self._open))
        if verb == b"001":
            self.welcomed = True
            if params and params[0] != b"*":
                self.nick = params[0]  # a server may have cut it
        elif verb in _NICK_TAKEN:
            self._nick_tries += 1
            if self._nick_tries >= _NICK_TRIES:
                self.refused = "every nick was refused"
            else:
                self.nick = anonymous_nick(self._chance)
                return b"NICK " + self.nick + b"\r\n"
        elif verb in _REFUSALS or verb == b"ERROR" or (verb == b"NOTICE" and _is_login_failure(params)):
            self.refused = "the server refused the login"
        return b""

    def _capabilities(self, answer: bytes, names: list[bytes]) -> bytes:
        if answer not in (b"ACK", b"NAK"):
            return b""
        answered = [name for name in names if name in self._open]
        for name in answered:
            self._open.remove(name)
            (self.granted if answer == b"ACK" else self.denied).add(name)
        return b"CAP END\r\n" if answered and not self._open else b""


def _is_login_failure(params: list[bytes]) -> bool:
    # Twitch says these as `NOTICE * :…`, without a msg-id, before it closes.
    failures = (b"Login authentication failed", b"Login unsuccessful", b"Improperly formatted auth", b"Invalid NICK")
    return len(params) == 2 and params[0] == b"*" and params[1] in failures
