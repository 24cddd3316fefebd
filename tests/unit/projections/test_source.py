"""Records to entries: seals in parts, offsets to start again from, records that cannot be read."""

from collections.abc import Sequence

import msgspec
import pytest

from projections import source
from projections.judge import SealKey
from projections.source import Decoder, JoinedSeal, Undecodable, joined_again
from schemas import parts
from schemas.sealed import Late, Seal, SealedEpoch, encode_body, encode_record, join_seal, split_seal
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, LogRecord
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, live_envelope, seal_of, viewers

BIG = seal_of(viewers(*range(30_000)))
BIG_VALUES = [encode_record(record) for record in split_seal(BIG)]
LATE = encode_record(Late(1, CHANNEL, LOGIN, T0_S, 5, 2))


def records(*values: bytes, at: int = 0) -> list[LogRecord]:
    return [LogRecord(at + place, b"k", value, 0) for place, value in enumerate(values)]


def test_parts_are_joined_and_others_may_stand_between_them() -> None:
    assert len(BIG_VALUES) >= 3
    found = Decoder(EPOCH_SEALED, 3).feed(records(BIG_VALUES[0], LATE, *BIG_VALUES[1:]))
    assert [entry.offset for entry in found.entries] == [1, len(BIG_VALUES)]
    seal = found.entries[1].item
    assert isinstance(seal, JoinedSeal)
    assert seal.sealed.header == BIG.header and seal.blob == encode_body(BIG.body)
    assert list(seal.values) == BIG_VALUES
    assert (found.partition, found.next_offset, found.resume_offset) == (3, len(BIG_VALUES) + 1, len(BIG_VALUES) + 1)


def test_an_unfinished_seal_holds_the_offset_to_start_again_from() -> None:
    decoder = Decoder(EPOCH_SEALED, 0)
    found = decoder.feed(records(LATE, *BIG_VALUES[:-1], LATE, at=10))
    assert (found.resume_offset, found.next_offset) == (11, 11 + len(BIG_VALUES))
    found = decoder.feed(records(BIG_VALUES[-1], at=found.next_offset))
    assert found.resume_offset == found.next_offset
    assert isinstance(found.entries[0].item, JoinedSeal)


def test_a_writer_that_came_again_starts_its_seal_anew() -> None:
    found = Decoder(EPOCH_SEALED, 0).feed(records(*BIG_VALUES[:-1], *BIG_VALUES))
    assert [type(entry.item) for entry in found.entries] == [JoinedSeal]


OTHER_VALUES = [encode_record(record) for record in split_seal(seal_of(viewers(*range(30_000)), salt=1))]


def interleaved(first: Sequence[bytes], second: Sequence[bytes], order: str) -> list[bytes]:
    """The values of two writers, as A and B name them."""
    mine, other = iter(first), iter(second)
    return [next(mine) if one == "A" else next(other) for one in order]


ORDERS = ["ABABABAB", "AABABBAB", "ABAAABBB", "AABBBBAA", "ABBBBAAA", "BAAABABB", "ABBAABBA", "AAABABBB"]


@pytest.mark.parametrize("order", ORDERS)
def test_two_writers_that_say_one_seal_at_a_time_say_it_once_and_no_record_is_called_damaged(order: str) -> None:
    assert len(BIG_VALUES) == 4
    found = Decoder(EPOCH_SEALED, 0).feed(records(*interleaved(BIG_VALUES, BIG_VALUES, order)))
    assert [type(entry.item) for entry in found.entries] == [JoinedSeal]
    assert found.resume_offset == found.next_offset


@pytest.mark.parametrize("order", ORDERS)
def test_two_writers_that_say_two_seals_under_one_name_are_both_heard(order: str) -> None:
    found = Decoder(EPOCH_SEALED, 0).feed(records(*interleaved(BIG_VALUES, OTHER_VALUES, order)))
    seals = [entry.item.sealed.header.hash() for entry in found.entries if isinstance(entry.item, JoinedSeal)]
    assert len(found.entries) == len(set(seals)) == 2
    assert found.resume_offset == found.next_offset


def test_a_seal_whose_beginning_was_lost_is_said_again_and_joined() -> None:
    found = Decoder(EPOCH_SEALED, 0).feed(records(*BIG_VALUES[1:], *BIG_VALUES))
    assert [type(entry.item) for entry in found.entries] == [Undecodable, JoinedSeal]


def test_parts_that_nobody_ends_are_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_WAIT_OFFSETS", 10)
    decoder = Decoder(EPOCH_SEALED, 0)
    assert decoder.feed(records(BIG_VALUES[0], *[LATE] * 9)).resume_offset == 0
    assert decoder.feed(records(LATE, at=10)).resume_offset == 11
    assert decoder.given_up_total == 1


def test_a_header_under_another_name_than_its_record_is_refused() -> None:
    seal = split_seal(seal_of(viewers(1)))[0]
    assert isinstance(seal, Seal)
    moved = msgspec.structs.replace(seal, channel="twitch:id:7")
    [entry] = Decoder(EPOCH_SEALED, 0).feed(records(encode_record(moved))).entries
    assert isinstance(entry.item, Undecodable) and "twitch:id:7" in entry.item.reason


def test_a_header_without_its_parts_and_bytes_that_are_no_record_are_named_not_lost() -> None:
    found = Decoder(EPOCH_SEALED, 0).feed(records(BIG_VALUES[-1], b"\xc1", LATE))
    assert [type(entry.item) for entry in found.entries] == [Undecodable, Undecodable, Late]
    first = found.entries[0].item
    assert isinstance(first, Undecodable) and CHANNEL in first.reason and first.length == len(BIG_VALUES[-1])


def test_unfinished_seals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "MAX_OPEN_SEALS", 2)
    decoder = Decoder(EPOCH_SEALED, 0)
    starts = []
    for hour in range(3):
        seal = seal_of(viewers(*range(30_000)), epoch_start_s=T0_S + hour * HOUR_S)
        starts.append(encode_record(split_seal(seal)[0]))
    found = decoder.feed(records(*starts))
    assert decoder.given_up_total == 1 and found.resume_offset == 1


def test_two_readers_of_one_stream_share_a_seal_for_as_long_as_one_has_it_in_hand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[SealKey] = []

    def counted(said: Seal, parts: Sequence[bytes]) -> SealedEpoch:
        decoded.append((said.channel, said.epoch_start_s, said.revision))
        return join_seal(said, parts)

    monkeypatch.setattr(source, "join_seal", counted)

    def fed(values: list[bytes]) -> object:
        # Bytes of one's own, as each reader gets them.
        copies = [bytes(bytearray(value)) for value in values]
        [entry] = Decoder(EPOCH_SEALED, 0).feed(records(*copies)).entries
        return entry.item

    first = fed(BIG_VALUES)
    assert fed(BIG_VALUES) is first and len(decoded) == 1
    other = seal_of(viewers(*range(30_000)), salt=1)
    met = fed([encode_record(record) for record in split_seal(other)])
    assert isinstance(met, JoinedSeal) and met.sealed.header == other.header
    assert decoded == [(CHANNEL, T0_S, 0)] * 2, "the same epoch in other bytes is another seal"
    del first, met
    fed(BIG_VALUES)
    assert len(decoded) == 3, "nothing is kept that nobody needs"


def test_what_was_held_back_is_read_again_as_it_was() -> None:
    again = joined_again(7, BIG_VALUES)
    assert isinstance(again, JoinedSeal) and again.sealed.header == BIG.header
    assert joined_again(7, [LATE]) == Late(1, CHANNEL, LOGIN, T0_S, 5, 2)
    assert joined_again(7, BIG_VALUES[:1]) is None


def test_a_name_that_postgres_cannot_keep_is_refused_here_and_stops_nothing() -> None:
    bad = [encode_record(record) for record in split_seal(seal_of(viewers(1), logins=["a\0b"]))]
    found = Decoder(EPOCH_SEALED, 0).feed(records(*bad, LATE))
    assert [type(entry.item) for entry in found.entries] == [Undecodable, Late]
    found = Decoder(CHAT_EVENTS, 0).feed(records(live_envelope([(1, "a\0b")], seq=0)))
    assert [type(entry.item) for entry in found.entries] == [Undecodable]
