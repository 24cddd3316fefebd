"""The channels of the local server: which there are, and what is the matter with them. Used by `session`."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

JOIN_LIMIT: Final = 20
JOIN_WINDOW_S: Final = 10.0
"""dev.twitch.tv/docs/irc/#rate-limits, for accounts that are not verified bots."""
MAX_TRIED: Final = 100_000
"""Joins of an account in JOIN_WINDOW_S that are counted."""


@dataclass(slots=True)
class Room:
    """A channel. refusal: the msg-id of the NOTICE that a JOIN gets, empty where it is open; closed_until: loop time
    up to which a JOIN gets no answer (a netsplit)."""

    index: int
    login: str
    room_id: str
    refusal: str = ""
    closed_until: float = 0.0
    viewers: dict[str, None] = field(default_factory=dict)
    """Who else is there, in the order they came; clients with the membership capability are told."""
    written_as: str = ""
    """The login that its lines bear in the feed, where it was renamed since."""


class Rooms:
    """All rooms by login and number."""

    def __init__(self, channels: list[tuple[str, str]]) -> None:
        """channels: (login, room id), in the order of their numbers in the feed."""
        self.all = [Room(index, login, room_id) for index, (login, room_id) in enumerate(channels)]
        self._by_login = {room.login: room for room in self.all}

    def __len__(self) -> int:
        return len(self.all)

    def of(self, login: str) -> Room | None:
        """The room of a login, None where it is nobody's."""
        return self._by_login.get(login)

    def rename(self, room: Room, login: str) -> None:
        """From now on it is that login's; the old one is nobody's. Raises ValueError where the new one is taken."""
        if login in self._by_login:
            raise ValueError(f"#{login} is taken")
        room.written_as = room.written_as or room.login
        del self._by_login[room.login]
        room.login = login
        self._by_login[login] = room

    @property
    def renamed(self) -> list[Room]:
        """Those whose lines must be written with another login than the feed's."""
        return [room for room in self.all if room.written_as]


class JoinLimit:
    """Joins of one account: at most JOIN_LIMIT in any JOIN_WINDOW_S. most: the most that it ever tried in such a time,
    allowed or not."""

    def __init__(self, limit: int = JOIN_LIMIT) -> None:
        self.most = 0
        self._limit = limit
        self._made: deque[float] = deque()
        self._tried: deque[float] = deque(maxlen=MAX_TRIED)

    def allows(self, now_s: float) -> bool:
        """Whether another JOIN may be made now; it counts if so. A limit of 0 allows everything."""
        for joins in (self._made, self._tried):
            while joins and joins[0] <= now_s - JOIN_WINDOW_S:
                joins.popleft()
        self._tried.append(now_s)
        self.most = max(self.most, len(self._tried))
        if not self._limit:
            return True
        if len(self._made) >= self._limit:
            return False
        self._made.append(now_s)
        return True
