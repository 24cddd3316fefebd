"""What streams may be sent: the newest seals, in order, and the boards of open hours as they are now.

In: rows from the watcher. Out: bytes of server-sent events, taken by each client from where it is. There is no queue
for a client: a cursor into one bounded list serves seals, and of each board only the newest state is kept, so a slow
client costs nothing and loses nothing (what has left the list it reads from the database).
"""

import asyncio
from bisect import bisect_right
from typing import Any

import orjson

from claim_api.counters import Counters
from claim_api.epochs import summary
from claim_api.index import SealIndex
from projections import rows


def seal_event(seal: rows.Epoch) -> bytes:
    """One seal as an event; its id is what Last-Event-ID names."""
    data = orjson.dumps({"seal_id": seal.seal_id, **summary(seal)})
    return b"id: %d\nevent: seal\ndata: %s\n\n" % (seal.seal_id, data)


def board_event(board: rows.Board) -> bytes:
    """One board as an event, without id: only its newest state matters."""
    return b"event: board\ndata: %s\n\n" % orjson.dumps(_board(board))


def _board(board: rows.Board) -> dict[str, Any]:
    return {
        "channel": board.channel,
        "login": board.login,
        "epoch_start_s": board.epoch_start_s,
        "participants": board.participants,
        "untracked_events": board.untracked_events,
        "messages": board.messages,
        "weight_centi": str(board.weight_centi),
        "last_event_ms": board.last_event_ms,
        "observed_to_ms": board.observed_to_ms,
        "top": [
            {"login": one.login, "messages": one.messages, "weight_centi": str(one.weight_centi)} for one in board.top
        ],
    }


class Hub:
    """The watcher's follower: tells the index, keeps events for streams, and wakes them."""

    def __init__(self, index: SealIndex, kept_seals: int, max_boards: int, counters: Counters) -> None:
        self._index, self._kept, self._max_boards, self._counters = index, kept_seals, max_boards, counters
        self._ids: list[int] = []
        self._events: list[tuple[str, bytes]] = []
        self._board_count = 0
        self._boards: dict[str, tuple[int, bytes]] = {}
        self.clients = 0
        self.head = 0
        """The newest seal_id."""
        self.floor = 0
        """Every seal above it is in the list."""
        self.starts = 0
        """How often it began to follow: a cursor of before the last time may be ahead of every seal."""
        self.started = asyncio.Event()
        """The head is known."""
        self.grown = asyncio.Event()
        """Set, and replaced, when there is something new."""

    # ---- from the watcher

    def start_at(self, seal_id: int) -> None:
        """At the first look, or where older seals stand than before (a restored database). Nothing that was asked until
        now is trusted."""
        self.head = self.floor = seal_id
        self.starts += 1
        self._ids.clear()
        self._events.clear()
        self._index.forget_all()
        self.started.set()
        self._wake()

    def seals(self, seals: list[rows.Epoch]) -> None:
        self._index.applied(seals)
        self._ids.extend(seal.seal_id for seal in seals)
        self._events.extend((seal.channel, seal_event(seal)) for seal in seals)
        self.head = self._ids[-1]
        if len(self._ids) > 2 * self._kept:
            leaving = len(self._ids) - self._kept
            self.floor = self._ids[leaving - 1]
            del self._ids[:leaving], self._events[:leaving]
        self._wake()

    def boards(self, boards: list[rows.Board]) -> None:
        """The newest board of each channel; what is not among them is over, and no client is told of it again."""
        before, self._boards = self._boards, {}
        for board in boards[: self._max_boards]:
            event = board_event(board)
            known = before.get(board.channel)
            if known is None or known[1] != event:
                self._board_count += 1
                known = (self._board_count, event)
            self._boards[board.channel] = known
        self._wake()

    def wants_boards(self) -> int:
        """How many boards are worth reading now."""
        return self._max_boards if self.clients else 0

    def _wake(self) -> None:
        grown, self.grown = self.grown, asyncio.Event()
        grown.set()

    def came(self) -> None:
        """One client more."""
        self.clients += 1

    def left(self) -> None:
        """One less. While nobody looks boards are not read: those of now would be old when somebody comes."""
        self.clients -= 1
        if self.clients == 0:
            self._boards = {}

    # ---- to a stream

    def seals_after(self, seal_id: int, channel: str | None, limit: int) -> tuple[int, list[bytes]]:
        """Events above seal_id (which must be >= floor), and the cursor behind them."""
        first = bisect_right(self._ids, seal_id)
        last = min(first + limit, len(self._ids))
        events = [event for of, event in self._events[first:last] if channel is None or of == channel]
        return (self._ids[last - 1] if last > first else seal_id), events

    def boards_after(self, cursor: int, channel: str | None) -> tuple[int, list[bytes]]:
        """Boards that changed since the cursor, and the cursor behind them."""
        changed = [
            event
            for of, (changed_at, event) in self._boards.items()
            if changed_at > cursor and (channel is None or of == channel)
        ]
        return self._board_count, changed
