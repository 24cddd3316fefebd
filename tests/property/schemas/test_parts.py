"""Seals in parts come out whole, whatever several writers' attempts at them look like on the log."""

from collections.abc import Sequence
from functools import cache
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import sealed
from schemas.errors import SchemaError
from schemas.parts import MAX_OPEN_SEALS, MAX_VARIANTS, MAX_WAIT_OFFSETS, OpenSeals, SealAssembler
from schemas.sealed import Part, Record, Seal, SealedEpoch, encode_body, split_seal
from tests.seals import HOUR_S, T0_S, seal_of, viewers

SEAL = seal_of(viewers(*range(60)))


@cache
def attempt(part_bytes: int) -> tuple[Record, ...]:
    """How a writer that cuts parts of that size writes the seal."""
    with patch.object(sealed, "MAX_PART_BYTES", part_bytes):
        return tuple(split_seal(SEAL))


@st.composite
def interleaved(draw: st.DrawFn) -> list[Record]:
    """Two attempts that end and up to two that were cut short, in any order; now and then one cuts other parts."""
    size = len(encode_body(SEAL.body))
    sizes = st.sampled_from((size // 5 + 1, size // 5 + 1, size // 5 + 1, size // 3 + 1))
    whole = [list(attempt(draw(sizes))) for _ in range(2)]
    cut = [list(attempt(draw(sizes)))[: draw(st.integers(0, 3))] for _ in range(draw(st.integers(0, 2)))]
    queues = [iter(records) for records in (*whole, *cut)]
    turns = [number for number, records in enumerate((*whole, *cut)) for _ in records]
    return [next(queues[turn]) for turn in draw(st.permutations(turns))]


def seals_of(records: Sequence[Record]) -> list[SealedEpoch]:
    assembler = SealAssembler()
    made = (assembler.feed(record) for record in records)
    return [one for one in made if isinstance(one, SealedEpoch)]


@settings(max_examples=300)
@given(interleaved())
def test_attempts_interleaved_anyhow_give_the_seal(records: list[Record]) -> None:
    found = seals_of(records)
    assert found
    for one in found:
        assert one.header == SEAL.header and one.body.identities == SEAL.body.identities


def test_the_attempt_that_was_cut_in_two_by_another_is_not_lost() -> None:
    *parts, header = attempt(len(encode_body(SEAL.body)) // 3 + 1)
    first, second, third = parts
    assert len(seals_of([first, second, first, third, header, second, third, header])) == 1


def test_a_header_whose_parts_were_never_met_is_an_error_and_harms_no_other() -> None:
    *parts, header = attempt(len(encode_body(SEAL.body)) // 3 + 1)
    assembler = SealAssembler()
    assembler.feed(parts[0])
    with pytest.raises(SchemaError, match="1 of 3 parts"):
        assembler.feed(header)
    for part in parts[1:]:
        assembler.feed(part)
    assert isinstance(assembler.feed(header), SealedEpoch)


def test_what_is_kept_is_bounded() -> None:
    kept = OpenSeals()
    for number in range(MAX_OPEN_SEALS + 10):
        seal = seal_of(viewers(1), epoch_start_s=T0_S + number * HOUR_S)
        with patch.object(sealed, "MAX_PART_BYTES", 60):
            *parts, header = split_seal(seal)
        for part in parts:
            assert isinstance(part, Part)
            kept.take(number, part, b"")
        if number < 5:
            assert isinstance(header, Seal) and kept.join(header)
    assert kept.given_up_total == 5
    assert kept.resume_offset(1000) == 10
    assert kept.resume_offset(MAX_WAIT_OFFSETS + 12) == 12
    assert kept.given_up_total == 7


def test_the_variants_of_one_part_that_are_kept_are_bounded() -> None:
    kept = OpenSeals()
    for number in range(100):
        kept.take(number, Part(1, "twitch:id:1", T0_S, 0, 0, b"%d" % number), b"")
    assert [[len(variants) for variants in one.places] for one in kept._open.values()] == [[MAX_VARIANTS]]
