"""Interning: the native table and Python's give the same numbers, the same pairs, and refuse the same."""

from collections.abc import Iterator

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import SchemaError
from schemas.packed import PackedPairs, PackedStrings
from schemas.seal import epoch_key, viewer_key, viewer_ref
from streams.core import hashing
from streams.core.interning import NativeTable, PythonTable, pair_table

PEPPER, TAG = b"p" * 32, b"t" * 16

ids = st.one_of(
    st.integers(0, 40).map(lambda n: f"twitch:id:{n}"),
    st.from_regex(r"twitch:id:[0-9]{1,20}", fullmatch=True),
    st.sampled_from(["x", "é", "y" * 19, "z" * 60]).map("twitch:login:{}".format),
)
logins = st.one_of(
    st.sampled_from(["", "a", "b", "ünï", "n" * 31, "n" * 32, "n" * 255, "n" * 256, "n" * 65_535, "n" * 65_536]),
    st.text(max_size=12),
)
records = st.lists(st.lists(st.tuples(ids, logins), max_size=12), max_size=8)


@pytest.fixture(scope="module", autouse=True)
def _fast() -> Iterator[None]:
    assert hashing.enable_fast(None)
    yield
    hashing.disable_fast()


@given(records)
def test_both_tables_give_the_same_numbers_and_pairs(given_records: list[list[tuple[str, str]]]) -> None:
    native, python = pair_table(), PythonTable()
    assert isinstance(native, NativeTable)
    order: dict[tuple[str, str], int] = {}
    for record in given_records:
        wanted = [order.setdefault(pair, len(order)) for pair in record]
        assert native.intern(record).tolist() == python.intern(record).tolist() == wanted
    for table in (native, python):
        pairs = table.pairs()
        assert list(pairs) == list(order)
        backwards = np.arange(len(pairs))[::-1]
        assert list(pairs.identities(backwards)) == [identity for identity, _ in list(order)[::-1]]
        assert list(pairs.logins(backwards)) == [login for _, login in list(order)[::-1]]
        refs = pairs.refs(PEPPER, TAG)
        assert [ref.tobytes() for ref in refs] == [
            viewer_ref(identity, epoch_key(viewer_key(identity, PEPPER), TAG)) for identity, _ in order
        ]
        for identity, login in order:
            assert pairs.with_identity(identity) == [n for (one, _), n in order.items() if one == identity]
            assert sorted(pairs.with_login([login])) == [n for (_, one), n in order.items() if one == login]


@given(st.integers(1, 700), st.integers(0, 3))
def test_a_table_grows_without_a_change(count: int, seed: int) -> None:
    pairs = [(f"twitch:id:{seed}{n}", f"v{n}") for n in range(count)]
    table = pair_table()
    for first in range(0, count, 97):
        assert table.intern(pairs[first : first + 97]).tolist() == list(range(first, min(first + 97, count)))
    assert table.intern(pairs).tolist() == list(range(count)) and len(table) == count


@given(st.lists(st.tuples(ids, logins), max_size=8), st.data())
def test_a_bad_record_changes_nothing(good: list[tuple[str, str]], data: st.DataObject) -> None:
    fresh = [("twitch:id:77777", "fresh"), *good]
    bad = data.draw(
        st.sampled_from(["twitch:id:", "twitch:id:12a", "id:1", "", "twitch:login:a b", "twitch:id:" + "1" * 21])
    )
    for table in (pair_table(), PythonTable()):
        before = table.intern(good).tolist()
        with pytest.raises(SchemaError, match="identity"):
            table.intern([*fresh, (bad, "x")])
        assert len(table) == len(set(good)) and table.intern(good).tolist() == before
        assert table.intern([("twitch:id:88888", "later")]).tolist() == [len(set(good))]


@given(st.lists(st.tuples(ids, logins), min_size=1, max_size=6), st.data())
def test_damaged_bytes_are_refused_and_change_nothing(good: list[tuple[str, str]], data: st.DataObject) -> None:
    elements = bytearray(PackedPairs.of(good).elements)
    at = data.draw(st.integers(0, min(len(elements), 400) - 1))
    elements[at] ^= data.draw(st.integers(1, 255))
    for table in (pair_table(), PythonTable()):
        damaged = PackedPairs(len(good), bytes(elements))
        try:
            pairs = damaged.decoded()
        except SchemaError:
            with pytest.raises(SchemaError):
                table.intern(PackedPairs(len(good), bytes(elements)))
            assert len(table) == 0
            continue
        try:
            numbers = table.intern(PackedPairs(len(good), bytes(elements)))
        except SchemaError:
            assert len(table) == 0
        else:
            assert [list(table.pairs())[number] for number in numbers.tolist()] == pairs


def test_longer_forms_than_need_be_are_the_same_pairs() -> None:
    pair = ("twitch:id:12", "ann")
    long = b"\x92\xda\x00\x0ctwitch:id:12\xdb\x00\x00\x00\x03ann"
    assert msgspec.msgpack.decode(b"\x91" + long, type=list[tuple[str, str]]) == [pair]
    for table in (pair_table(), PythonTable()):
        assert table.intern([pair]).tolist() == table.intern(PackedPairs(1, long)).tolist() == [0]


def test_a_sequence_that_is_packed_is_equal_to_one_that_is_not() -> None:
    assert PackedStrings(2, b"\xa1a\xa1b") == ["a", "b"] != PackedStrings(1, b"\xa1a")
    with pytest.raises(SchemaError, match="does not decode"):
        PackedStrings(2, b"\xa1a\xc0").decoded()
