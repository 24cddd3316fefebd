"""A damaged record is a SchemaError to its reader and a dead letter to the shard, never anything else."""

import contextlib
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    "junk", [b"\x9a\x16:\xa3\xf6\xca\xbb", b"\x91" * 100_000, b"\x81\x91" * 5_000, b"\x91\xa1\xff"]
)
def test_junk_is_a_schema_error(junk: bytes) -> None:
    for reader in (decode, decode_record):
        with pytest.raises(SchemaError):
            reader(junk)
