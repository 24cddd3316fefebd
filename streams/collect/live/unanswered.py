"""Whose fault is a JOIN without an answer: the channel's, which may not exist, or the connection's, which takes none?

In: JOINs that timed out and JOINs that were answered, from the reconciler and the roster. Out: connections on which the
next JOIN should not go while another has room, and whether a connection is to be left. Pure.

A connection that answers PINGs and ignores JOINs looks alive and stays empty, so it would be given every channel.
Twitch says nothing either of channels that do not exist, and they may be many: a login that two connections left
unanswered speaks against neither.
"""

from collections import Counter
from typing import Final

from streams.collect.live.membership import Channel

DEAF: Final = "JOINs unanswered"
"""Why a deaf connection is left."""
DEAF_TRIES: Final = 6
"""A connection on which nothing is heard is deaf after so many JOINs without an answer: leaving it costs nothing."""
DEAF_LOGINS: Final = 18
"""One on which channels are heard, after JOINs of so many logins, one window's: leaving it takes JOINs for each of
them."""


class UnansweredJoins:
    """See the module. Connections by their numbers. At most one entry for each wanted channel and open connection."""

    def __init__(self) -> None:
        self._tries: dict[int, Counter[str]] = {}
        """Connection -> JOINs that only it left unanswered since it answered one, by login."""
        self._deaf: set[int] = set()

    def timed_out(self, channel: Channel, connection: int) -> None:
        """Its JOIN had no answer there."""
        others = [one for one in channel.unanswered_on if one != connection]
        channel.note_unanswered(connection)
        if not others:
            self._tries.setdefault(connection, Counter())[channel.login] += 1
            return
        for number in (*others, connection):
            if number in self._tries:
                self._tries[number].pop(channel.login, None)

    def answered(self, connection: int) -> None:
        """A JOIN was confirmed or refused there: it hears us."""
        self._tries.pop(connection, None)
        self._deaf.discard(connection)

    def ended(self, connection: int) -> None:
        """It is gone; numbers are never used again."""
        self.answered(connection)

    def is_deaf(self, connection: int, *, hears: bool) -> bool:
        """Whether it is to be left. hears: whether any channel is heard there."""
        tries = self._tries.get(connection, Counter())
        deaf = len(tries) >= DEAF_LOGINS or (not hears and tries.total() >= DEAF_TRIES)
        if deaf:
            self._deaf.add(connection)
        return deaf

    def avoided(self, channel: Channel) -> frozenset[int]:
        """Where the channel's next JOIN goes only if nowhere else is room."""
        return frozenset((*self._deaf, *channel.unanswered_on))
