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
    """The chat lines of a tagged IRC file (plain, .gz or .zst); whatever else stands in it is left out and counted.

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
        _, fast, _ = read_columns(data)
        row_of = {line: row for row, line in enumerate(fast.lines.tolist())}
        lines: list[bytes] = []
        facts: list[tuple[int, int, int, int, bool, int]] = []
        ids: list[bytes] = []
        derived: list[int] = []
        for number, raw in enumerate(data.split(b"\n")):
            line = raw.removesuffix(b"\r")
            place = _stamp_place(line)
            row = row_of.get(number)
            if row is not None:
                name = data[int(fast.channel_start[row]) : int(fast.channel_end[row])].lower()
                at, kind, privmsg, event_id = int(fast.at[row]), MESSAGE, True, fast.ids[row].tobytes()
            else:
                read = _slowly(line)
                if read is None or place < 0:
                    self.left_out_lines += bool(line)
                    continue
                name, at, kind, privmsg, own_id = read
                event_id = own_id or bytes(16)
                if own_id is None and kind != NO_EVENT:
                    derived.append(len(lines))
            latest_ms = max(latest_ms, at)
            facts.append((place, at, latest_ms, self._numbers[name], privmsg, kind))
            ids.append(event_id)
            lines.append(line + b"\r\n")
        columns = np.array(facts, np.int64).reshape(-1, 6)
        starts = np.zeros(len(lines) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, lines), np.int64, len(lines)), out=starts[1:])
        id_column = np.frombuffer(bytearray().join(ids), np.uint8).reshape(-1, 16)
        return Block(
            bytearray().join(lines),
            starts,
            starts[:-1] + columns[:, 0],
            columns[:, 1].copy(),
            columns[:, 2].copy(),
            columns[:, 3].copy(),
            columns[:, 5].astype(np.uint8),
            columns[:, 4].astype(np.bool_),
            id_column,
            derived,
            first_of_id(id_column, derived),
        )


def _stamp_place(line: bytes) -> int:
    """Where the digits of the tag tmi-sent-ts stand in a line; -1 where it has none of 13 digits."""
    end = line.find(b" ") if line.startswith(b"@") else -1
    place = line.rfind(STAMP, 0, max(end, 0))
    if place < 1 or line[place - 1] not in b"@;" or not line[place + 12 : place + 25].isdigit():
        return -1
    return place + len(STAMP)


def _slowly(line: bytes) -> tuple[bytes, int, int, bool, bytes | None] | None:
    """(channel, at, kind, whether PRIVMSG, own id) of a chat line; None for any other."""
    try:
        message = parse_line(line)
        if message.verb not in CHAT_VERBS:
            return None
        read = read_message(message)
        if isinstance(read, Event):
            return read.channel_login.encode(), read.at_ms, read.kind, message.verb == b"PRIVMSG", read.id
        name = message.params[0].removeprefix(b"#").lower()
        return name, int(message.tags[b"tmi-sent-ts"]), NO_EVENT, message.verb == b"PRIVMSG", None
    except (Malformed, ValueError, KeyError, IndexError):
        return None
