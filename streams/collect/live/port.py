"""The seams of the live collector: what its parts tell each other. Each side can be tested with a fake of the other.

    wanted (control stream) -> reconciler -> pool of connections -> Intake -> Outbound (queue, spool) -> log chat.events

One process, one event loop, one source (producer session). Times `at_ms` are this machine's clock in ms UTC, taken
when the bytes were read; the Intake alone turns them into Twitch's time.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final, Protocol

MAX_CHANNELS: Final = 20_000
"""Channels of one collector: no more are joined, and the reports of as many may wait. The Intake knows a few beside."""

Act = Callable[[bytes, int], None]
"""Acts on a line that is not chat (without its end); and when it arrived, ms."""


def nobody_acts(line: bytes, at_ms: int) -> None:
    """For lines without a connection."""


class Intake(Protocol):
    """Takes in what connections receive; makes envelopes with what was observed. Calls do not wait and do not raise.

    A channel may be observed over two connections at once (a new one is opened before an old one is left): what it
    claims is the union, and doubled lines are one event by their id.
    """

    def observing(self, login: str, room_id: str | None, connection: int, at_ms: int) -> None:
        """The server confirmed the channel on that connection: its lines are heard from now on. room_id: its Twitch id
        where the server said it (ROOMSTATE), else None: then nothing is claimed until a line says it."""

    def received(self, connection: int, lines: bytes, at_ms: int, act: Act = nobody_acts) -> None:
        """Whole lines in the order of their arrival. Has the connection act on those that are not chat (PING,
        RECONNECT, NOTICE, ROOMSTATE, JOIN, PART, CAP, numerics ...), each before anything is made of what stands behind
        it: a channel that ends there is claimed by no later line."""

    def lost(self, login: str, connection: int) -> None:
        """The channel is no longer heard there (parted, refused, or the connection ended): its claim ends with what
        whole lines proved. Bytes of an unfinished line prove nothing."""


class Outbound(Protocol):
    """Where envelopes go: to the log, or to disk while the log is away."""

    def put(self, channel: str, value: bytes, events: int, *, said_to_ms: int | None = None) -> bool:
        """Take over an envelope of `chat.events` with that channel's identity as key; said_to_ms: where the interval it
        states ends. False where there is no room, neither in memory nor on disk: then the Intake drops its interval and
        says the hole."""

    def put_dead(self, letter: bytes) -> bool:
        """Take over a record of `dead`; False where there is no room: it is counted and gone."""


class Texts(Protocol):
    """Takes message text where the operator turned that on (law 5). Calls do not wait and do not raise."""

    def put(
        self, channel: str, channel_login: str, event_id: bytes, at_ms: int, viewer: str, login: str, text: str
    ) -> None:
        """One message that became an event, of a viewer (identity, login) who did not opt out."""


class WantedChannels(Protocol):
    """Which channels are to be collected, from wherever an operator or the discovery said so."""

    def changes(self) -> AsyncIterator[frozenset[str]]:
        """The whole set of logins, at once and again at every change."""


class Suppressed(Protocol):
    """Viewers who opted out."""

    def holds(self, identity: str, login: str) -> bool:
        """Whether that viewer's events must not reach the log. Both are asked: either may be what they named."""

    @property
    def version(self) -> int:
        """Rises with every change, so that answers may be kept until then."""

    @property
    def any_by_id(self) -> bool:
        """Whether anybody is opted out by Twitch id: then a login alone does not tell that it is nobody's of them."""
