"""Where the local server's chat comes from: a simulation, or a recorded file. Gives blocks, in order of arrival."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from schemas.columns import MESSAGE
from schemas.errors import TwzrdError
from schemas.identity import ID_PREFIX
from streams.collect.fast_irc import read_columns
from streams.collect.files.decompress import Unpacked
from streams.collect.files.lines import BLOCK_BYTES, line_blocks
from streams.collect.irc import Malformed, parse_line
from streams.collect.simulation import LineWriter, Simulation, chat
from streams.collect.simulation.envelopes import EVENT_KINDS
from streams.collect.simulation.people import channel_login, room_id
from streams.collect.twitch import Event, read_message
from streams.collect.twitch_sim.block import NO_EVENT, STAMP, Block, first_of_id

CHAT_VERBS: Final = frozenset((b"PRIVMSG", b"USERNOTICE", b"CLEARCHAT", b"CLEARMSG"))
MAX_ROOMS: Final = 100_000
_PIECE_BYTES: Final = BLOCK_BYTES
_KEEP: Final = (b"", 0, 0, False, None)


class FeedError(TwzrdError):
    """A recorded file that cannot be replayed; the message names it and why."""


class Feed(Protocol):
    """Chat to be said."""

    @property
    def rooms(self) -> list[tuple[str, str]]:
        """(login, room id) of every channel; their places are the numbers in blocks."""

    def blocks(self) -> Iterator[Block]:
        """All of it, once, from the beginning."""


class SimulatedFeed:
    """A simulation from start_ms on, without end unless end_ms is given."""

    def __init__(self, simulation: Simulation, start_ms: int, end_ms: int | None = None) -> None:
        self._simulation = simulation
        self._start_ms = start_ms
        self._end_ms = 2**53 if end_ms is None else end_ms
        self.rooms = [(channel_login(n), str(room_id(n))) for n in range(simulation.channels)]

    def blocks(self) -> Iterator[Block]:
        """See Feed."""
        writer = LineWriter(self._simulation)
        for step in self._simulation.run(self._start_ms, self._end_ms):
            lines = writer.lines(step)
            starts = np.zeros(len(lines) + 1, np.int64)
            np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)), out=starts[1:])
            places = np.fromiter((line.find(STAMP) for line in lines), np.int64, len(lines))
            derived = np.flatnonzero(np.isin(step.kind, chat.WITHOUT_ID)).tolist()
            yield Block(
                bytearray().join(lines),
                starts,
                starts[:-1] + places + len(STAMP),
                step.at.copy(),
                step.arrival,
                step.channel,
                EVENT_KINDS[step.kind],
                (step.kind <= chat.CHEER) | (step.kind == chat.COPY),
                step.ids.copy(),
                derived,
                first_of_id(step.ids, derived),
            )


class RecordedFeed:
    """The chat lines of a tagged IRC file (plain, .gz or .zst); whatever else stands in it is left out and counted, and
    so are channels of which it holds no event.

    The file is read once at the beginning to learn its channels, and again while it is said.
    """

    def __init__(self, path: Path) -> None:
        """Raises FeedError where the file cannot be read or holds no tagged chat."""
        self._path = path
        self.left_out_lines = 0
        known: dict[str, str] = {}
        for data in self._pieces():
            chunk, _, logins = read_columns(data)
            for identity, login in logins.items():
                if identity.startswith(ID_PREFIX):
                    known[login] = identity.removeprefix(ID_PREFIX)
            for identity, (login, _) in chunk.channels.items():
                known.setdefault(login, identity.removeprefix(ID_PREFIX) if identity.startswith(ID_PREFIX) else "")
            if len(known) > MAX_ROOMS:
                raise FeedError(f"{path}: more than {MAX_ROOMS} channels; split it")
        self.rooms = sorted(known.items())
        if not self.rooms:
            raise FeedError(f"{path}: holds no tagged chat lines; twitch-sim replays tagged Twitch IRC")
        self._numbers = {login.encode(): number for number, (login, _) in enumerate(self.rooms)}

    def blocks(self) -> Iterator[Block]:
        """See Feed. Lines of an earlier name of a renamed channel belong to that earlier name."""
        latest_ms = 0
        self.left_out_lines = 0
        for data in self._pieces():
            block = self._block(data, latest_ms)
            if len(block):
                latest_ms = int(block.arrival[-1])
                yield block

    def _pieces(self) -> Iterator[bytes]:
        try:
            with self._path.open("rb") as file:
                stream = Unpacked(file)
                for piece in line_blocks(stream, block_bytes=_PIECE_BYTES):
                    if stream.fault:
                        raise FeedError(f"{self._path}: {stream.fault}")
                    yield piece.data
        except OSError as error:
            raise FeedError(f"{self._path}: {error.strerror or error}; give a file of tagged Twitch IRC") from error

    def _block(self, data: bytes, latest_ms: int) -> Block:
        data = data.replace(b"\r\n", b"\n")
        if not data.endswith(b"\n"):
            data += b"\n"
        _, fast, _ = read_columns(data)
        line_ends = np.flatnonzero(np.frombuffer(data, np.uint8) == 0x0A)
        n = len(line_ends)
        starts = np.concatenate(([0], line_ends + 1))
        edges = starts.tolist()
        ordinary = np.zeros(n, np.bool_)
        ordinary[fast.lines] = True
        others = {
            number: self._slowly(data[edges[number] : edges[number + 1] - 1])
            for number in np.flatnonzero(~ordinary).tolist()
        }
        if None in others.values():
            lines = data.split(b"\n")[:-1]
            kept = [line for number, line in enumerate(lines) if others.get(number, _KEEP) is not None]
            self.left_out_lines += sum(map(bool, lines)) - len(kept)
            return self._block(b"\n".join(kept), latest_ms) if kept else _block_of_nothing()

        at, channel = np.zeros(n, np.int64), np.zeros(n, np.int64)
        kind, privmsg = np.full(n, MESSAGE, np.uint8), np.ones(n, np.bool_)
        ids = np.zeros((n, 16), np.uint8)
        at[fast.lines], ids[fast.lines] = fast.at, fast.ids
        names = zip(fast.channel_start.tolist(), fast.channel_end.tolist(), strict=True)
        channel[fast.lines] = [self._numbers[data[start:end].lower()] for start, end in names]
        derived = []
        for number, read in others.items():
            assert read is not None
            name, at[number], kind[number], privmsg[number], own_id = read
            channel[number] = self._numbers[name]
            if own_id is not None:
                ids[number] = np.frombuffer(own_id, np.uint8)
            elif kind[number] != NO_EVENT:
                derived.append(number)
        stamps = np.array([data.find(STAMP, start) for start in edges[:-1]], np.int64)
        before = np.frombuffer(data, np.uint8)[stamps - 1]
        for number in np.flatnonzero((before != 0x3B) & (before != 0x40)).tolist():
            stamps[number] = edges[number] + _stamp_place(data[edges[number] : edges[number + 1]]) - len(STAMP)
        # Twitch's line end is one byte longer than the one that the offsets count with.
        return Block(
            bytearray(data.replace(b"\n", b"\r\n")),
            starts + np.arange(n + 1),
            stamps + len(STAMP) + np.arange(n),
            at,
            np.maximum.accumulate(np.maximum(at, latest_ms)),
            channel,
            kind,
            privmsg,
            ids,
            derived,
            first_of_id(ids, derived),
        )

    def _slowly(self, line: bytes) -> tuple[bytes, int, int, bool, bytes | None] | None:
        """(channel, at, kind, whether PRIVMSG, own id) of a tagged chat line of a channel of ours; None for others."""
        if _stamp_place(line) < 0:
            return None
        try:
            message = parse_line(line)
            if message.verb not in CHAT_VERBS:
                return None
            read = read_message(message)
        except Malformed:
            return None
        privmsg = message.verb == b"PRIVMSG"
        if isinstance(read, Event):
            found = read.channel_login.encode(), read.at_ms, read.kind, privmsg, read.id
        else:
            name = message.params[0].removeprefix(b"#").lower() if message.params else b""
            found = name, int(message.tags[b"tmi-sent-ts"]), NO_EVENT, privmsg, None
        return found if found[0] in self._numbers else None


class PreparedFeed:
    """Another feed's chat made beforehand and held in memory, so that saying it costs next to nothing: for benchmarks,
    where the server must not be what is measured. About 500 bytes a line."""

    def __init__(self, feed: Feed, max_lines: int) -> None:
        """Takes whole blocks until max_lines are there, or the feed ends."""
        self.rooms = feed.rooms
        self.lines = 0
        self._prepared: list[Block] = []
        for block in feed.blocks():
            self._prepared.append(block)
            self.lines += len(block)
            if self.lines >= max_lines:
                break

    def blocks(self) -> Iterator[Block]:
        """See Feed. Blocks are given away: a second time there are none."""
        while self._prepared:
            yield self._prepared.pop(0)


def _block_of_nothing() -> Block:
    none = np.zeros(0, np.int64)
    ids = np.zeros((0, 16), np.uint8)
    flags = none.astype(np.bool_)
    return Block(
        bytearray(), np.zeros(1, np.int64), none, none, none, none, none.astype(np.uint8), flags, ids, [], none
    )


def _stamp_place(line: bytes) -> int:
    """Where the digits of the tag tmi-sent-ts stand in a line; -1 where it has none of 13 digits."""
    end = line.find(b" ") if line.startswith(b"@") else -1
    for mark in (b";" + STAMP, b"@" + STAMP):
        place = line.find(mark, 0, max(end, 0)) + len(mark)
        if place >= len(mark) and line[place : place + 13].isdigit():
            return place
    return -1
