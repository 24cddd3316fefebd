"""Between a session and its wire: sends at once, or late, in pieces, or not at all, always in order."""

import asyncio
from collections import deque
from itertools import pairwise
from typing import Final, NamedTuple

from streams.collect.simulation.dice import Dice
from streams.collect.twitch_sim.wire import Wire

MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
"""Held back for one client, and as much again written that it does not read; then it is cut as too slow, as Twitch
does."""
ROOM_BYTES: Final = 1024 * 1024
_PIECES: Final = 12
"""Most pieces of one write, where writes are split."""
_GAP_S: Final = 0.0005
"""Between two pieces, so that the client's reads do not join them again."""


class _Held(NamedTuple):
    due_s: float
    data: bytes
    alone: bool


class Outlet:
    """What a session says goes through here. silent: nothing is sent any more, what was said is gone; delay_s: how
    long everything is held back; split: every write goes out in pieces that end at any byte."""

    def __init__(self, wire: Wire, dice: Dice) -> None:
        self.silent = False
        self.delay_s = 0.0
        self.split = False
        self.offered_bytes = 0
        """Place in the client's stream where the next byte will stand."""
        self._wire = wire
        self._dice = dice
        self._loop = asyncio.get_running_loop()
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._room.set()

    def put(self, data: bytes | bytearray | memoryview) -> None:
        """Say it."""
        if self.silent or self._wire.ending:
            return
        self.offered_bytes += len(data)
        if not (self._held or self.delay_s or self.split):
            self._wire.send(data)
            if self._wire.waiting_bytes > MAX_QUEUED_BYTES:
                self._wire.cut()
            return
        due_s = self._loop.time() + self.delay_s
        kept = bytes(data)  # a block's buffer changes under a view of it
        for piece in self._pieces(kept) if self.split else (kept,):
            self._held.append(_Held(due_s, piece, self.split))
        self._held_bytes += len(kept)
        if self._held_bytes > MAX_QUEUED_BYTES:
            self._wire.cut()
        if self._held_bytes > ROOM_BYTES:
            self._room.clear()
        if self._timer is None:
            self._timer = self._loop.call_at(self._held[0].due_s, self._release)

    async def drained(self) -> None:
        """Until the client has taken enough that more may be said."""
        await self._room.wait()
        await self._wire.drained()

    def forget(self) -> None:
        """The connection has ended."""
        self._held.clear()
        self._room.set()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _pieces(self, data: bytes) -> list[bytes]:
        if len(data) < 2:
            return [data]
        cuts = sorted(set(self._dice.below(1 + self._dice.one(_PIECES), len(data) - 1).tolist()))
        edges = [0, *(cut + 1 for cut in cuts), len(data)]
        return [data[start:end] for start, end in pairwise(edges) if start < end]

    def _release(self) -> None:
        self._timer = None
        now_s, alone = self._loop.time(), False
        while self._held and self._held[0].due_s <= now_s and not alone:
            _, data, alone = self._held.popleft()
            self._held_bytes -= len(data)
            if not self.silent:
                self._wire.send(data)
        if self._held_bytes <= ROOM_BYTES:
            self._room.set()
        if self._held:
            self._timer = self._loop.call_at(max(self._held[0].due_s, now_s + (_GAP_S if alone else 0)), self._release)
