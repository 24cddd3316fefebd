"""NDJSON, fast: blocks of lines of one shape -> where each field's value stands. Beside `files.ndjson`.

Machine-made NDJSON repeats the same keys in the same order. The shape is learnt from one line; every line of a block
is then held against it with numpy, byte for byte: all literal text between values, no other quote, no escape, no
control character, numbers of plain digits, valid UTF-8. What keeps to the shape is read by columns; every other line
comes out in `Columns.others` for a plain reader, so a result never rests on the shape being right.
"""

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streams.collect.fast_fields import eight_digits

Bytes = NDArray[np.uint8]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
U64 = NDArray[np.uint64]

PAD: Final = 128
"""Zero bytes wanted before and behind a block, so that reads of whole words never leave it."""
MAX_LITERAL_BYTES: Final = 96
MAX_DIGITS: Final = 16
_QUOTE, _LF, _ZERO, _BACKSLASH = 0x22, 0x0A, 0x30, 0x5C
_FIELD: Final = re.compile(rb'[{,]"([A-Za-z0-9_]+)":(?:([0-9]+)|"[^"\\]*")')


def _u64(value: int) -> np.uint64:
    return np.uint64(value)


_E8 = _u64(10**8)
_FIRST: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""Masks that keep the first n bytes."""


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    is_number: bool
    literal: bytes
    """Everything from the end of the value before up to this value."""
    begins: int
    """Number of the quote where the literal begins (after a number a comma stands before it); -1: the line's start."""


class Shape:
    """The keys of a line in their order, each a number or a string."""

    def __init__(self, fields: list[_Field], quotes: int) -> None:
        self.fields = fields
        self.quotes = quotes
        self.close = b"}" if fields[-1].is_number else b'"}'

    @classmethod
    def of(cls, line: bytes) -> "Shape | None":
        """The shape of a line, or None where it is not one flat object of plain strings and digits."""
        fields: list[_Field] = []
        at = quotes = 0
        while at < len(line) - 1:
            found = _FIELD.match(line, at)
            if found is None or (line[at : at + 1] == b"{") != (at == 0):
                return None
            is_number = found.group(2) is not None
            after_number = bool(fields) and fields[-1].is_number
            text = b"" if not fields or after_number else b'"'
            literal = text + line[at : found.end(1) + 2] + (b"" if is_number else b'"')
            if len(literal) > MAX_LITERAL_BYTES:
                return None
            begins = -1 if not fields else quotes if after_number else quotes - 1
            fields.append(_Field(found.group(1).decode(), is_number, literal, begins))
            quotes += 2 if is_number else 4
            at = found.end()
        if not fields or line[at:] != b"}" or len({field.name for field in fields}) != len(fields):
            return None
        return cls(fields, quotes)


@dataclass(slots=True)
class Columns:
    """What a block's lines came to. starts and ends: of each field's value by name; lines: their line's place in the
    block, from 0; others: (start, end) of lines that do not keep to the shape, blank ones included."""

    data: Bytes
    lines: Index
    starts: dict[str, Index]
    ends: dict[str, Index]
    numbers: dict[str, U64]
    others: list[tuple[int, int]]


def read_lines(padded: Bytes, size: int, shape: Shape) -> Columns:
    """Hold lines against the shape. padded: PAD bytes of anything, `size` bytes of whole lines, PAD more."""
    data = padded[PAD : PAD + size]
    controls = int(np.count_nonzero(data < 0x20))
    is_end = data == _LF
    marks = np.flatnonzero(is_end | (data == _QUOTE))
    marks += PAD
    width = shape.quotes + 1
    plain = not np.count_nonzero(data == _BACKSLASH) and (not size or data.max() < 0x80 or _is_utf8(data))
    if plain and size and len(marks) == controls * width:
        table = marks.reshape(-1, width)
        ends = table[:, -1].copy()
        if (padded[ends] == _LF).all():  # every line has its quotes and one end, and no other control character
            starts = np.empty_like(ends)
            starts[0] = PAD
            starts[1:] = ends[:-1] + 1
            return _hold(padded, shape, starts, ends, None, table)
    return _hold(padded, shape, *_regular(data, marks, plain, shape.quotes))


def _regular(data: Bytes, marks: Index, plain: bool, wanted: int) -> tuple[Index, Index, Mask, Index]:
    """Starts and ends of all lines, which of them have the wanted number of quotes and nothing that a plain string
    may not hold, and the quotes of those."""
    ends = np.flatnonzero(data == _LF)
    if len(data) and data[-1] != _LF:
        ends = np.append(ends, len(data))
    starts = np.concatenate((np.zeros(min(1, len(ends)), np.int64), ends[:-1] + 1))
    quotes = np.flatnonzero(data == _QUOTE)
    first = np.searchsorted(quotes, starts)
    regular: Mask = np.searchsorted(quotes, ends) - first == wanted
    odd = (data < 0x20) & (data != _LF)
    if not plain:
        odd |= (data == _BACKSLASH) | (data >= 0x80)
    regular[np.searchsorted(starts, np.flatnonzero(odd), "right") - 1] = False
    table = quotes[first[regular][:, None] + np.arange(wanted)]
    return starts + PAD, ends + PAD, regular, table + PAD


def _is_utf8(data: Bytes) -> bool:
    try:
        data.tobytes().decode()
    except UnicodeDecodeError:
        return False
    return True


def _hold(
    padded: Bytes, shape: Shape, line_starts: Index, line_ends: Index, regular: Mask | None, marks: Index
) -> Columns:
    """marks: the places of the quotes of each regular line, a row a line."""
    starts, ends = (line_starts, line_ends) if regular is None else (line_starts[regular], line_ends[regular])
    ok: Mask = ends - starts >= 2
    value_starts: dict[str, Index] = {}
    value_ends: dict[str, Index] = {}
    values: dict[str, U64] = {}
    before: _Field | None = None
    for field in (*shape.fields, None):
        # One gather holds the number before a literal (its last 16 bytes) and the literal.
        if field is None:
            begins, text = ends - (1 if before is None or before.is_number else 2), shape.close
        else:
            begins, text = starts if before is None else marks[:, field.begins] - int(before.is_number), field.literal
        lead = MAX_DIGITS if before is not None and before.is_number else 0
        near = gather(padded, begins - lead, lead + -(-len(text) // 8) * 8)
        for at in range(0, len(text), 8):
            part = text[at : at + 8]
            word = near[:, (lead + at) // 8]
            ok &= (word if len(part) == 8 else word & _FIRST[len(part)]) == _word(part)
        if before is not None:
            value_ends[before.name] = begins
            if before.is_number:
                start = value_starts[before.name]
                values[before.name], good = _numbers(padded, near, start, begins - start)
                ok &= good
            elif field is None:
                ok &= begins == marks[:, shape.quotes - 1]
        if field is not None:
            value_starts[field.name] = begins + len(text)
            before = field
    lines = np.arange(len(line_starts)) if regular is None else np.flatnonzero(regular)
    if regular is None and ok.all():
        return Columns(padded, lines, value_starts, value_ends, values, [])
    lines = lines[ok]
    strange = np.ones(len(line_starts), np.bool_)
    strange[lines] = False
    others = list(zip(line_starts[strange].tolist(), line_ends[strange].tolist(), strict=True))
    for table in (value_starts, value_ends):
        for name in table:
            table[name] = table[name][ok]
    return Columns(padded, lines, value_starts, value_ends, {name: v[ok] for name, v in values.items()}, others)


def gather(padded: Bytes, at: Index, width: int) -> U64:
    """(n, width / 8) little-endian words: width bytes from each place on. As items of that width numpy copies them
    whole, so a wide gather costs what a narrow one does."""
    items = np.ndarray((len(padded) - width + 1,), f"V{width}", padded, 0, (1,))
    found: U64 = items[at].view("<u8").reshape(-1, width // 8)
    return found


def _word(text: bytes) -> np.uint64:
    return _u64(int.from_bytes(text, "little"))


def _numbers(padded: Bytes, near: U64, start: Index, length: Index) -> tuple[U64, Mask]:
    """Numbers of 1 to 16 digits without leading zeros, and which are such. near: the 16 bytes before each end."""
    ok = (length >= 1) & (length <= MAX_DIGITS)
    ok &= (padded[start] != _ZERO) | (length == 1)
    value, good = eight_digits(near[:, 1], np.minimum(np.maximum(length, 0), 8))
    ok &= good
    if len(length) and length.max() > 8:
        upper, good = eight_digits(near[:, 0], np.minimum(np.maximum(length - 8, 0), 8))
        ok &= good
        value += upper * _E8
    return value, ok
