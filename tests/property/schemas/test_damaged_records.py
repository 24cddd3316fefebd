"""A damaged record is a SchemaError to its reader and a dead letter to the shard, never anything else."""

import contextlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import control
from schemas import text as texts
from schemas.envelope import decode
from schemas.errors import SchemaError
from schemas.sealed import decode_record
from streams.core.shard import Shard
from tests.generators import random_log
from tests.logs import PEPPER, SCHEDULE, run_through


@cache
def envelopes() -> list[bytes]:
    """Real records to damage."""
    return [value for _, value in random_log(7, channels=2, hours=1)]


@cache
def sealed() -> list[bytes]:
    """Real records of epoch.sealed."""
    return run_through(envelopes()).sealed


changes = st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=4)


def damaged(record: bytes, places: list[tuple[int, int]], cut: int | None) -> bytes:
    """The record with some bytes changed, most of them near its start where the structure is, and maybe cut off."""
    out = bytearray(record[:cut])
    for at, value in places:
        if out:
            out[at % min(len(out), 1 + at % 300)] = value
    return bytes(out)


@given(st.integers(0, 10**6), changes, st.none() | st.integers(0, 3000))
def test_a_damaged_envelope_never_stops_a_shard(which: int, places: list[tuple[int, int]], cut: int | None) -> None:
    record = damaged(envelopes()[which % len(envelopes())], places, cut)
    with contextlib.suppress(SchemaError):
        decode(record)
    Shard(SCHEDULE, PEPPER, 0).feed(0, record)


@given(st.integers(0, 10**6), changes, st.none() | st.integers(0, 3000))
def test_a_damaged_sealed_record_is_a_schema_error(which: int, places: list[tuple[int, int]], cut: int | None) -> None:
    with contextlib.suppress(SchemaError):
        decode_record(damaged(sealed()[which % len(sealed())], places, cut))


T = 1_767_225_600_000
CONTROL = [
    control.encode(one)
    for one in (
        control.Wanted(1, "chan0", "1000", "operator", "ann", T, "asked for"),
        control.Unwanted(1, "chan0", "discovery", "discovery", T, ""),
        control.Ruled(1, "chan0", "deny", "ann", T, ""),
        control.Renamed(1, "chan0", "chan1", "1000", "host-1", T),
        control.OptOut(1, "twitch:id:7", "ann", T, "by mail"),
        control.OptIn(1, "twitch:login:bob", "ann", T, ""),
        control.ChannelState(1, "chan0", None, "c", "parked", "why", T, T, [control.Attempt(T, "join", "nothing")] * 3),
        control.Heartbeat(1, "c", "running", T, T),
        control.Snapshot(1, "twitch:id:1", "chan0", T, 5, "title", "game", T),
    )
]
TEXT = texts.encode("twitch:id:1", "chan0", [texts.Line(bytes(16), T, "twitch:id:7", "ann", "hello \u00e9")] * 5)


@given(st.integers(0, 10**6), changes, st.none() | st.integers(0, 300))
def test_a_damaged_control_record_is_a_schema_error_or_a_record_that_can_be_written(
    which: int, places: list[tuple[int, int]], cut: int | None
) -> None:
    with contextlib.suppress(SchemaError):
        found = control.decode(damaged(CONTROL[which % len(CONTROL)], places, cut))
        assert control.decode(control.encode(found)) == found and control.key(found)


@given(changes, st.none() | st.integers(0, 400))
def test_a_damaged_text_record_is_a_schema_error_or_a_record_that_can_be_written(
    places: list[tuple[int, int]], cut: int | None
) -> None:
    with contextlib.suppress(SchemaError):
        found = texts.decode(damaged(TEXT, places, cut))
        assert texts.decode(texts.encode(found.channel, found.login, found.lines)) == found


@pytest.mark.parametrize(
    "junk", [b"\x9a\x16:\xa3\xf6\xca\xbb", b"\x91" * 100_000, b"\x81\x91" * 5_000, b"\x91\xa1\xff"]
)
def test_junk_is_a_schema_error(junk: bytes) -> None:
    for reader in (decode, decode_record, control.decode, texts.decode):
        with pytest.raises(SchemaError):
            reader(junk)


def test_a_text_record_of_a_version_before_the_first_is_refused() -> None:
    with pytest.raises(SchemaError, match="version 0"):
        texts.decode(TEXT[:1] + b"\x00" + TEXT[2:])
