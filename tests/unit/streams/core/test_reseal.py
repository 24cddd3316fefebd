"""Revisions: what a reseal record makes of an epoch, and when it makes nothing."""

import pytest

from schemas.envelope import encode
from schemas.seal import MAX_REVISION
from schemas.sealed import Seal, decode_record
from streams.core.reseal import next_revision, reseal
from streams.core.sealing import Sealer
from tests import logs
from tests.logs import LENGTH_MS, PEPPER, SCHEDULE, T0, Event, envelope, run_through

C = logs.CHANNELS[0]
EPOCH_S = T0 // 1000
ASKED = encode("reseal", C, "a", "s", 0, (T0, T0 + LENGTH_MS, "absent"))
LOG = [envelope(C, [Event(T0 + 5, 1)], (T0, T0 + 12_000, "live"))]
LATE = envelope(C, [Event(T0 + 7, 2, who=1)], (T0 + 12_000, T0 + 13_000, "live"))


def headers(log: list[bytes]) -> list[tuple[int, int, str]]:
    """(revision, leaves, input_digest) of the first epoch's seals, in order."""
    found = [sealed.header for (_, epoch_s, _), sealed in run_through(log).seals().items() if epoch_s == EPOCH_S]
    return [(header.revision, header.leaf_count, header.input_digest.hex()) for header in found]


def test_with_nothing_late_it_is_the_same_content_under_the_next_number() -> None:
    (first, second) = headers([*LOG, ASKED])
    assert (first[0], second[0]) == (0, 1)
    assert first[1:] == second[1:]


def test_asked_for_twice_it_is_made_twice_each_with_what_came_before_it() -> None:
    assert [(revision, leaves) for revision, leaves, _ in headers([*LOG, ASKED, LATE, ASKED])] == [
        (0, 1),
        (1, 1),
        (2, 2),
    ]


def test_an_epoch_without_seal_and_without_anybody_stays_without() -> None:
    log = [envelope(C, [], (T0, T0 + 12_000, "absent")), ASKED]
    assert headers(log) == []
    assert headers([*log, LATE, ASKED])[0][:2] == (0, 1)


def test_a_record_that_was_answered_is_not_answered_again() -> None:
    world = run_through([*LOG, ASKED, LATE, ASKED])
    seals = [record for record in map(decode_record, world.sealed) if isinstance(record, Seal)]
    assert [seal.through_offset for seal in seals] == [0, 1, 3]
    assert [next_revision(seals, offset) for offset in (1, 2, 3, 4)] == [None, 2, None, 3]
    assert next_revision(seals[:1], 1) == 1
    assert next_revision([], 1) == 0


@pytest.mark.parametrize(("revision", "made"), [(MAX_REVISION, True), (MAX_REVISION + 1, False)])
def test_revisions_end_where_the_header_has_no_room_for_more(revision: int, made: bool) -> None:
    sealed = reseal(Sealer(SCHEDULE, PEPPER), C, "a", EPOCH_S, revision, enumerate(LOG), 5)
    assert (sealed is not None) == made
    assert sealed is None or sealed.header.encode()
