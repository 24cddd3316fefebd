"""No record of a stream can stop its projection: what no table could take, or does not fit itself, is put aside."""

from typing import Any

import msgspec
import numpy as np
import pytest
from blake3 import blake3

from projections import read
from projections.live import LiveProjection
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.sealed import SealedProjection
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.seal import LeafCounts
from schemas.sealed import Closed, Late, SealedEpoch, Stats
from tests.integration.projections.conftest import CatchUp
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, SaidLog, live_envelope, rehashed, seal_of, viewers

RATE = DEFAULT_POLICY.base_units_per_centi


@pytest.fixture
def sealed(metrics: ProjectionMetrics) -> SealedProjection:
    return SealedProjection(metrics)


REFUSED: dict[str, tuple[str, Any]] = {
    "a record that no table could take": (
        "undecodable_record",
        {
            "a channel that is none": lambda seal: headed(seal, channel="x" * 3000),
            "a channel with a zero byte": lambda seal: headed(seal, channel="twitch:login:a\0b"),
            "a start that is no time": lambda seal: headed(seal, epoch_start_s=2**63),
            "a length over an integer": lambda seal: headed(seal, epoch_length_s=2**32 - 1),
            "a name over an index's row": lambda seal: bodied(seal, identities=["twitch:login:" + "x" * 3000]),
            "a login over an index's row": lambda seal: bodied(seal, logins=["x" * 3000]),
            "a last day that is no date": lambda seal: bodied(seal, last_ms=np.array([2**62], np.int64)),
            "a last day before all dates": lambda seal: bodied(seal, last_ms=np.array([-(2**62)], np.int64)),
            "a first time below 0": lambda seal: bodied(seal, first_ms=np.array([-1], np.int64)),
            "a count over a bigint": lambda seal: changed(seal, stats=Stats(2**63, 0, 0, 0)),
            "an offset over a bigint": lambda seal: changed(seal, through_offset=2**63),
            "an offset below 0": lambda seal: changed(seal, from_offset=-1),
            "a word with a zero byte": lambda seal: changed(seal, closed_by="a\0b"),
            "a policy that is none": lambda seal: policed(seal, b"\xff{}"),
            "a policy in another form": lambda seal: policed(seal, b" " + seal.policy),
            "coverage of no kind": lambda seal: changed(seal, coverage=[(0, 1, "seen")]),
            "coverage without end": lambda seal: changed(seal, coverage=[(0, 2**64 - 1, "live")] * 2),
        },
    ),
    "a seal that is not of one piece": (
        "seal_damaged",
        {
            "coverage of another hour": lambda seal: changed(seal, coverage=[(0, 1, "live")]),
            "a viewer twice": lambda seal: seal_of(["twitch:id:1", "twitch:id:1"]),
            "a weight that the policy does not give": lambda seal: rehashed(
                seal,
                LeafCounts(
                    **{**msgspec.structs.asdict(seal.body.counts), "weight_centi": np.array([99_999], np.uint64)}
                ),
            ),
        },
    ),
}


def changed(seal: SealedEpoch, **fields: Any) -> SealedEpoch:
    return msgspec.structs.replace(seal, **fields)


def headed(seal: SealedEpoch, **fields: Any) -> SealedEpoch:
    return changed(seal, header=msgspec.structs.replace(seal.header, **fields))


def bodied(seal: SealedEpoch, **fields: Any) -> SealedEpoch:
    return changed(seal, body=msgspec.structs.replace(seal.body, **fields))


def policed(seal: SealedEpoch, policy: bytes) -> SealedEpoch:
    return headed(changed(seal, policy=policy), policy_hash=blake3(policy).digest())


@pytest.mark.parametrize(
    ("kind", "make"),
    [pytest.param(kind, make, id=name) for kind, cases in REFUSED.values() for name, make in cases.items()],
)
async def test_a_seal_that_could_stop_everything_is_refused_with_an_alarm_and_stops_nothing(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, kind: str, make: Any
) -> None:
    await log.say(make(seal_of(viewers(1))), seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    for projection in (sealed, NamesProjection()):
        await catch_up(projection)
    assert {alarm.kind for alarm in await read.alarms(db)} == {kind}
    assert [one.epoch_start_s for one in await read.epochs(db, CHANNEL)] == [T0_S + HOUR_S]
    assert await read.entitlement_base_units(db, "twitch:id:1") == 101 * RATE


@pytest.mark.parametrize(
    "said",
    [
        Late(1, "twitch:login:a\0b", LOGIN, T0_S, 1, 1),
        Late(1, CHANNEL, LOGIN, T0_S, 1, 2**63),
        Late(1, CHANNEL, LOGIN, 2**63, 1, 1),
        Closed(1, "x" * 3000, LOGIN, T0_S, T0_S + HOUR_S, 1, "watermark"),
        Closed(1, CHANNEL, LOGIN, T0_S, T0_S + HOUR_S, 2**63, "watermark"),
        Closed(1, CHANNEL, LOGIN, T0_S, T0_S - HOUR_S, 1, "watermark"),
        Closed(1, CHANNEL, LOGIN, T0_S, T0_S + HOUR_S, 1, "a\0b"),
    ],
)
async def test_a_notice_that_no_table_could_take_stops_nothing(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, said: Late | Closed
) -> None:
    await log.say(said, seal_of(viewers(1)))
    await catch_up(sealed)
    assert [alarm.kind for alarm in await read.alarms(db)] == ["undecodable_record"]
    assert await read.epoch(db, CHANNEL, T0_S) is not None


@pytest.mark.parametrize("said", [{"channel": "twitch:login:a\0b"}, {"login": "a\0b"}, {"said": [(1, "a\0b")]}])
async def test_an_envelope_that_no_table_could_take_stops_no_board(
    db: Any, log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics, said: Any
) -> None:
    await log.chat(live_envelope(**{"said": [(1, "ann")], "seq": 0, **said}))
    await log.chat(live_envelope([(1, "ann")], seq=1))
    await catch_up(LiveProjection(PolicySchedule.of(DEFAULT_POLICY), metrics))
    assert [alarm.kind for alarm in await read.alarms(db)] == ["undecodable_record"]
    assert [one.messages for one in await read.live_boards(db)] == [1]
