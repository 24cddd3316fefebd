"""Rules of the columnar NDJSON reader: what keeps to the shape is read as json reads it, all else is handed back."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.collect.fast_ndjson import PAD, Columns, Shape, read_lines

LINE = b'{"ts_ms":1760000400696,"channel":"ch_17","user_id":5495,"kind":"message","text":"a b"}'


def read(data: bytes, like: bytes = LINE) -> Columns:
    """The columns of some lines held against the shape of one."""
    shape = Shape.of(like)
    assert shape is not None
    padded = np.zeros(PAD + len(data) + PAD, np.uint8)
    padded[PAD : PAD + len(data)] = np.frombuffer(data, np.uint8)
    return read_lines(padded, len(data), shape)


def text_of(columns: Columns, name: str, row: int) -> bytes:
    """A field's value as it stands."""
    return columns.data[columns.starts[name][row] : columns.ends[name][row]].tobytes()


def test_numbers_and_strings_come_out_where_they_stand() -> None:
    columns = read(LINE + b"\n" + LINE.replace(b"5495", b"0").replace(b"a b", b"") + b"\n")
    assert columns.others == []
    assert columns.numbers["ts_ms"].tolist() == [1760000400696] * 2
    assert columns.numbers["user_id"].tolist() == [5495, 0]
    assert [text_of(columns, "text", row) for row in (0, 1)] == [b"a b", b""]
    assert text_of(columns, "channel", 0) == b"ch_17"


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"{}",
        LINE[:-1],
        LINE + b" ",
        LINE + b"\r",
        LINE.replace(b"5495", b"-5"),
        LINE.replace(b"5495", b"05"),
        LINE.replace(b"5495", b"5.5"),
        LINE.replace(b"5495", b""),
        LINE.replace(b"5495", b"12345678901234567"),
        LINE.replace(b"a b", b'a \\" b'),
        LINE.replace(b"a b", b"a\\u0041"),
        LINE.replace(b"a b", b"a\tb"),
        LINE.replace(b"a b", b"\xff"),
        LINE.replace(b'"kind"', b'"kinD"'),
        LINE.replace(b'"}', b'","kind":"sub"}'),
        LINE.replace(b'"kind":"message","text":"a b"', b'"text":"a b","kind":"message"'),
        LINE.replace(b'"channel":', b'"channel": '),
    ],
)
def test_a_line_of_another_form_is_handed_back(odd: bytes) -> None:
    data = LINE + b"\n" + odd + b"\n" + LINE + b"\n"
    columns = read(data)
    assert columns.lines.tolist() == [0, 2]
    (start, end), *more = columns.others
    assert not more and data[start - PAD : end - PAD] == odd
    assert columns.numbers["user_id"].tolist() == [5495, 5495]


def test_a_last_line_without_its_end_is_read() -> None:
    columns = read(LINE + b"\n" + LINE)
    assert columns.lines.tolist() == [0, 1] and columns.others == []


def test_a_shape_is_only_that_of_a_flat_object_of_plain_values() -> None:
    for line in (b"{}", b"[1]", b'{"a":[1]}', b'{"a":null}', b'{"a":1,"a":2}', b'{"a" :1}', b"", b'{"a":1'):
        assert Shape.of(line) is None


values = st.one_of(st.integers(0, 10**16 - 1), st.text(max_size=12))


@given(st.lists(st.tuples(values, values, values), min_size=1, max_size=12), st.booleans())
def test_what_is_taken_is_what_json_says(rows: list[tuple[Any, Any, Any]], ascii_only: bool) -> None:
    lines = [
        json.dumps(dict(zip("abc", row, strict=True)), separators=(",", ":"), ensure_ascii=ascii_only).encode(
            "utf-8", "surrogatepass"
        )
        for row in rows
    ]
    shape = Shape.of(lines[0])
    if shape is None:
        return
    columns = read(b"\n".join(lines) + b"\n", lines[0])
    assert len(columns.lines) + len(columns.others) == len(lines)
    for row, line in enumerate(columns.lines.tolist()):
        said = json.loads(lines[line])
        assert list(said) == [field.name for field in shape.fields]
        for field in shape.fields:
            if field.is_number:
                assert int(columns.numbers[field.name][row]) == said[field.name]
            else:
                assert text_of(columns, field.name, row).decode() == said[field.name]
