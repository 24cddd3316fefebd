"""Tagged IRC, fast: a block of lines -> a chunk, by columns. After `files.lines`; results are those of `twitch`.

Ordinary PRIVMSG lines (the mass of any capture) are found and read with numpy over the whole block; every line with
anything unusual about it goes through the plain reading, one by one. A property test holds the two equal.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from schemas.columns import MAX_AT_MS, MESSAGE, MIN_AT_MS, EventColumns, distinct
from schemas.identity import ID_PREFIX
from streams.collect import fast_fields as fields
from streams.collect.chunk import BLANK_LINES, LINE_TOO_LONG, MAX_LINE_BYTES, Chunk, Part, Rows, assemble, dead_line
from streams.collect.fast_viewers import viewers_of
from streams.collect.irc import Malformed
from streams.collect.twitch import MAX_AMOUNT, SHARED_CHAT_COPIES, Event, read_line

Index = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Mask = NDArray[np.bool_]
U64 = NDArray[np.uint64]

PAD: Final = 96
"""Zero bytes behind the block, so that fixed-width reads never leave it."""
_SPACE, _SEMICOLON, _EQUALS, _AT, _LF, _CR = 0x20, 0x3B, 0x3D, 0x40, 0x0A, 0x0D


def _word(text: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(text, "little"))


_NAMES: Final = (b"id", b"room-id", b"user-id", b"tmi-sent-ts", b"bits", b"source-room-id")


_FIRST_BYTES: Final = tuple(np.uint64((1 << 8 * min(8, length)) - 1) for length in range(16))
"""Masks of the first so many bytes, at most 8, of a little-endian word."""


def parse_irc_chunk(data: bytes, first_line_number: int = 1) -> Chunk:
    """Read a block of whole lines (the last may lack its end). Pure; bad lines come out dead, nothing is raised."""
    block, fast, chunk, rows = _read(data, first_line_number)
    return assemble(chunk, rows, _parts(block, fast, first_line_number))


def read_columns(data: bytes | Bytes, first_line_number: int = 1) -> tuple[Chunk, "FastRows", dict[str, str]]:
    """The same lines for who folds by columns: a chunk of the unusual lines alone, the ordinary ones as they stand,
    of all channels together, and each channel's login by its last line. data: as bytes, or as an array with PAD zeros
    behind, which is not copied; nothing refers to it afterwards."""
    block, fast, chunk, rows = _read(data, first_line_number)
    last: dict[str, tuple[int, str]] = {}
    last_rows = np.zeros(len(fast.rooms), np.int64)
    last_rows[fast.room] = np.arange(len(fast.room))  # numpy keeps the last assignment
    for room, row in zip(fast.rooms.tolist(), last_rows.tolist(), strict=True):
        name = block.bytes[fast.channel_start[row] : fast.channel_end[row]].tobytes().lower().decode()
        last[f"{ID_PREFIX}{room}"] = (first_line_number + int(fast.lines[row]), name)
    for channel, (line_number, name) in rows.last_logins().items():
        last[channel] = max(last.get(channel, (0, "")), (line_number, name))
    return assemble(chunk, rows), fast, {channel: name for channel, (_, name) in last.items()}


def _read(data: bytes | Bytes, first_line_number: int) -> tuple["Block", "FastRows", Chunk, Rows]:
    """The ordinary lines by columns, the others one by one."""
    block = Block(data)
    chunk = Chunk(first_line_number, len(block.starts), len(block.bytes) - PAD)
    fast, copies = fast_rows(block)
    if copies.any():
        chunk.counts[SHARED_CHAT_COPIES] += int(copies.sum())
    done = copies
    done[fast.lines] = True
    rows = Rows()
    blank = 0
    for line in np.flatnonzero(~done).tolist():
        raw = block.bytes[block.starts[line] : block.ends[line]].tobytes()
        if not raw:
            blank += 1
            continue
        read_one(chunk, rows, first_line_number + line, raw)
    if blank:
        chunk.counts[BLANK_LINES] += blank
    return block, fast, chunk, rows


def parse_irc_chunk_slowly(data: bytes, first_line_number: int = 1) -> Chunk:
    """The same result line by line: the oracle, and the reading of files that are mostly unusual."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    chunk, rows = Chunk(first_line_number, len(lines), len(data)), Rows()
    for number, line in enumerate(lines, first_line_number):
        if raw := line.removesuffix(b"\r"):
            read_one(chunk, rows, number, raw)
        else:
            chunk.counts[BLANK_LINES] += 1
    return assemble(chunk, rows)


def read_one(chunk: Chunk, rows: Rows, line_number: int, raw: bytes) -> None:
    """Read one line, not blank, by the plain rules: into rows, a counter of chunk, or its dead lines."""
    if len(raw) > MAX_LINE_BYTES:
        chunk.dead.append(dead_line(line_number, LINE_TOO_LONG, raw))
        return
    try:
        found = read_line(raw)
    except Malformed as error:
        chunk.dead.append(dead_line(line_number, str(error), raw))
        return
    if isinstance(found, Event):
        rows.add(line_number, found, raw)
    else:
        chunk.counts[found.rule] += 1


def padded(data: bytes) -> Bytes:
    """The bytes as an array with PAD zeros behind."""
    out = np.empty(len(data) + PAD, np.uint8)
    out[: len(data)] = np.frombuffer(data, np.uint8)
    out[len(data) :] = 0
    return out


class Block:
    """The bytes with the places of line starts and ends (without `\\r\\n`), and room for reads past the end. breaks:
    every space and line end; first_break: of each line the first of its own among them."""

    def __init__(self, data: bytes | Bytes) -> None:
        self.bytes: Bytes = data if isinstance(data, np.ndarray) else padded(data)
        length = len(self.bytes) - PAD
        text = self.bytes[:length]
        breaks = np.flatnonzero((text == _SPACE) | (text == _LF))
        if length and text[-1] != _LF:
            breaks = np.append(breaks, length)  # where the last line ends, as if it had a line end
        last = self.bytes[breaks] != _SPACE
        if length:
            last[-1] = True
        last_break = np.flatnonzero(last)
        self.first_break: Index = np.concatenate((np.zeros(min(1, len(last_break)), np.int64), last_break[:-1] + 1))
        ends = breaks[last_break]
        self.breaks: Index = np.append(breaks, np.full(4, length))
        self.starts: Index = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
        returns = (ends > self.starts) & (self.bytes[ends - 1] == _CR)
        self.ends: Index = ends - returns


@dataclass(frozen=True, slots=True)
class FastRows:
    """n rows read by columns. lines: index of each row's line within the block; rooms: every channel's id once,
    ascending; room: (n,) index into them; user_digits: (n, 16) the number's text, its end at the end, zeros before;
    login: (n, 32), zeros behind."""

    lines: Index
    at: NDArray[np.int64]
    ids: Bytes
    rooms: U64
    room: Index
    user: U64
    user_digits: Bytes
    login: Bytes
    amount: NDArray[np.uint32]
    channel_start: Index
    channel_end: Index


def fast_rows(block: Block) -> tuple[FastRows, Mask]:
    """The ordinary PRIVMSG lines as columns, and a mask over all lines of the shared-chat copies among them. What is in
    neither is for the plain reading."""
    data, starts, ends = block.bytes, block.starts, block.ends
    copies: Mask = np.zeros(len(starts), np.bool_)
    # Skeleton: "@tags :source PRIVMSG #channel text", single spaces, all four within the line.
    s1, s2, s3, s4 = (block.breaks[block.first_break + nth] for nth in range(4))
    ok = (data[starts] == _AT) & (s4 + 1 < ends) & (ends - starts <= MAX_LINE_BYTES)
    ok &= (data[s1 + 1] == 0x3A) & (fields.words(data, s2 + 1) == _word(b"PRIVMSG ")) & (s3 == s2 + 8)
    ok &= (data[s3 + 1] == 0x23) & (data[s4 + 1] != _SPACE)
    lines = np.flatnonzero(ok)
    s1, s2, s3, s4 = s1[lines], s2[lines], s3[lines], s4[lines]

    tags = _Tags(block, lines, s1)
    numeric = (b"tmi-sent-ts", b"room-id", b"user-id")
    values, good = fields.numbers(
        data, np.concatenate([tags.start[n] for n in numeric]), np.concatenate([tags.end[n] for n in numeric])
    )
    at, room, user = values.reshape(3, -1)
    ok = good.reshape(3, -1).all(axis=0) & (at >= MIN_AT_MS) & (at < MAX_AT_MS) & ~tags.odd
    ids, good = fields.uuids(data, tags.start[b"id"], tags.end[b"id"])
    ok &= good
    login, good = fields.logins(data, s1 + 2, s2, until=0x21)
    ok &= good
    _, good = fields.logins(data, s3 + 2, s4)
    ok &= good
    amount = np.zeros(len(lines), np.uint32)
    cheers = np.flatnonzero(tags.start[b"bits"] >= 0)
    if len(cheers):
        bits, good = fields.numbers(data, tags.start[b"bits"][cheers], tags.end[b"bits"][cheers])
        good &= bits <= MAX_AMOUNT
        ok[cheers] &= good
        amount[cheers[good]] = bits[good]
    shared = np.flatnonzero(tags.start[b"source-room-id"] >= 0)
    if len(shared):
        source, good = fields.numbers(data, tags.start[b"source-room-id"][shared], tags.end[b"source-room-id"][shared])
        ok[shared] &= good
        copy = ok[shared] & (source != room[shared])
        copies[lines[shared[copy]]] = True
        ok[shared[copy]] = False
    rows: Index | slice = slice(None) if ok.all() else np.flatnonzero(ok)
    rooms = distinct(room[rows])
    return (
        FastRows(
            lines[rows],
            at[rows].astype(np.int64),
            ids[rows],
            rooms,
            np.searchsorted(rooms, room[rows]),
            user[rows],
            fields.digits(data, tags.start[b"user-id"][rows], tags.end[b"user-id"][rows]),
            login[rows],
            amount[rows],
            s3[rows] + 2,
            s4[rows],
        ),
        copies,
    )


class _Tags:
    """Where the value of each wanted tag starts and ends, per line; start -1 where absent. odd: read it plainly."""

    def __init__(self, block: Block, lines: Index, tags_end: Index) -> None:
        data, starts = block.bytes, block.starts[lines]
        mask = data[:-PAD] == _SEMICOLON
        mask[starts] = True
        separators = np.flatnonzero(mask)
        following = np.append(separators[1:], len(data) - PAD)
        beginnings = fields.words(data, separators + 1)
        self.odd: Mask = np.zeros(len(lines), np.bool_)
        self.start: dict[bytes, Index] = {}
        self.end: dict[bytes, Index] = {}
        for name in _NAMES:
            found = np.flatnonzero(beginnings & _FIRST_BYTES[len(name)] == _word(name[:8]))
            place = separators[found]
            value = place + 2 + len(name)
            closing = data[value - 1]
            if (
                len(found) == len(lines)
                and ((starts <= place) & (place < tags_end) & (closing == _EQUALS)).all()
                and (len(name) <= 8 or self._named(data, place, name).all())
            ):  # once in every line, as usual
                self.start[name], self.end[name] = value, np.minimum(following[found], tags_end)
                continue
            line = np.searchsorted(starts, place, "right") - 1
            inside = np.flatnonzero(line >= 0)
            inside = inside[place[inside] < tags_end[line[inside]]]
            inside = inside[self._named(data, place[inside], name)]
            line, found, value, closing = line[inside], found[inside], value[inside], closing[inside]
            valued = closing == _EQUALS
            # A tag without `=` may overrule an earlier one: odd.
            self.odd[line[(closing == _SEMICOLON) | (closing == _SPACE)]] = True
            line, found, value = line[valued], found[valued], value[valued]
            start, end = np.full(len(lines), -1, np.int64), np.full(len(lines), -1, np.int64)
            start[line] = value  # of a doubled tag the last is left, as the rule wants
            end[line] = np.minimum(following[found], tags_end[line])
            self.start[name], self.end[name] = start, end

    @staticmethod
    def _named(data: Bytes, place: Index, name: bytes) -> Mask:
        """Which of those separators are followed by that name, to its end."""
        same: Mask = (fields.gather(data, place + 1, len(name)) == np.frombuffer(name, np.uint8)).all(axis=1)
        return same


def _parts(block: Block, fast: FastRows, first_line_number: int) -> dict[str, Part]:
    """The fast rows by channel, each viewer of a channel once."""
    parts: dict[str, Part] = {}
    order = np.argsort(fast.room, kind="stable")
    cuts = np.flatnonzero(np.diff(fast.room[order])) + 1
    for rows in np.split(order, cuts):
        if not len(rows):
            continue
        viewers, who = viewers_of(fast.user[rows], fast.login[rows])
        last = int(rows[-1])
        name = block.bytes[fast.channel_start[last] : fast.channel_end[last]].tobytes()
        events = EventColumns(
            viewers,
            fast.at[rows],
            fast.ids[rows],
            np.full(len(rows), MESSAGE, np.uint8),
            who,
            fast.amount[rows],
        )
        parts[f"{ID_PREFIX}{fast.rooms[fast.room[last]]}"] = Part(
            fast.lines[rows] + first_line_number, name.lower().decode(), events, ()
        )
    return parts
