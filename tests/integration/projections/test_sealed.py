"""The read models of epoch.sealed: what a seal becomes, law 4, revisions."""

import logging
from typing import Any

import msgspec
import numpy as np
import pytest

from projections import read, rulings, viewer_index
from projections.errors import ProjectionError
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.sealed import SealedProjection
from schemas.policy import DEFAULT_POLICY
from schemas.seal import LeafCounts
from schemas.sealed import Closed, Late, SealedEpoch, decode_body, encode_body, encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append
from tests.integration.projections.conftest import CatchUp
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, SaidLog, rehashed, seal_of, viewers

RATE = DEFAULT_POLICY.base_units_per_centi


@pytest.fixture
def sealed(metrics: ProjectionMetrics) -> SealedProjection:
    return SealedProjection(metrics)


async def digests(db: Any, projection: SealedProjection) -> dict[str, str]:
    return dict(await projection.digest(db))


def count(metrics: ProjectionMetrics, name: str) -> float:
    """A counter's value."""
    return float(getattr(metrics, name)._value.get())


async def test_a_seal_can_be_read_back_in_every_field(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, metrics: ProjectionMetrics
) -> None:
    start_ms = T0_S * 1000
    coverage = [
        (start_ms, start_ms + 1_000_000, "live"),
        (start_ms + 1_000_000, start_ms + 1_500_000, "absent"),
        (start_ms + 1_500_000, start_ms + 3_600_000, "recovered"),
    ]
    seal = seal_of(viewers(5, 6, 7), messages=[1, 20, 300], coverage=coverage)
    await log.say(seal, partition=1)
    await catch_up(sealed)

    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None
    assert (epoch.login, epoch.leaf_count, epoch.total_messages, epoch.total_weight_centi) == (LOGIN, 3, 321, 621)
    assert (epoch.header, epoch.seal_hash, epoch.root) == (seal.header.encode(), seal.header.hash(), seal.header.root)
    assert epoch.coverage == coverage
    assert (epoch.observed_ms, epoch.absent_ms) == (3_100_000, 500_000)
    assert (epoch.partition, epoch.sealed_offset, epoch.closed_by) == (1, 0, "watermark")
    body = await read.body(db, CHANNEL, T0_S, 0)
    assert body == encode_body(seal.body)
    assert list(decode_body(body).identities) == viewers(5, 6, 7)
    assert await read.policy(db, epoch.policy_hash) == DEFAULT_POLICY.canonical
    assert (count(metrics, "epoch_sealed"), count(metrics, "participants")) == (1, 3)


async def test_a_seal_of_many_parts_is_joined_and_an_unfinished_one_waits_across_a_restart(
    db: Any, log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics
) -> None:
    seal = seal_of(viewers(*range(30_000)))
    values = [encode_record(record) for record in split_seal(seal)]
    assert len(values) > 2
    await log.append(EPOCH_SEALED, [Append(0, b"k", value) for value in values[:-1]])
    await log.say(seal_of(viewers(1), channel="twitch:id:200"))
    await catch_up(SealedProjection(metrics))
    assert await read.epoch(db, CHANNEL, T0_S) is None
    assert await read.epoch(db, "twitch:id:200", T0_S) is not None

    await log.append(EPOCH_SEALED, [Append(0, b"k", values[-1])])
    await catch_up(SealedProjection(metrics))
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.leaf_count == 30_000
    assert await db.fetchval("select count(*) from viewer_epochs") == 30_001
    assert count(metrics, "repeated") == 0


async def test_everything_delivered_again_changes_nothing(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, metrics: ProjectionMetrics
) -> None:
    said: list[SealedEpoch | Late | Closed] = [
        seal_of(viewers(1, 2)),
        Late(1, CHANNEL, LOGIN, T0_S, 40, 3),
        Closed(1, CHANNEL, LOGIN, T0_S + HOUR_S, T0_S + 3 * HOUR_S, 41, "watermark"),
        seal_of(viewers(1, 2, 3), revision=1, closed_by="reseal", through_offset=40),
    ]
    await log.say(*said)
    await catch_up(sealed)
    before = await digests(db, sealed)
    await log.say(*said, *reversed(said))
    await catch_up(sealed)
    assert await digests(db, sealed) == before
    assert count(metrics, "repeated") == 4
    assert await read.alarms(db) == []


async def test_a_known_seal_with_another_root_stops_its_channel_and_no_other(
    db: Any,
    log: SaidLog,
    catch_up: CatchUp,
    sealed: SealedProjection,
    metrics: ProjectionMetrics,
    caplog: pytest.LogCaptureFixture,
) -> None:
    known, other = seal_of(viewers(1, 2)), seal_of(viewers(1, 2), salt=1)
    await log.say(known, other, seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S))
    await log.say(Late(1, CHANNEL, LOGIN, T0_S, 40, 3), seal_of(viewers(9), channel="twitch:id:200"))
    await catch_up(sealed)

    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.root == known.header.root
    assert await read.epoch(db, CHANNEL, T0_S + HOUR_S) is None
    assert await read.late(db, CHANNEL, T0_S) == []
    assert await read.epoch(db, "twitch:id:200", T0_S) is not None
    [alarm] = await read.alarms(db)
    assert alarm.kind == "seal_conflict" and other.header.hash().hex() in alarm.detail
    [stopped] = await read.stopped_channels(db)
    assert (stopped.channel, stopped.known_seal_hash, stopped.met_seal_hash, stopped.held) == (
        CHANNEL,
        known.header.hash(),
        other.header.hash(),
        2,
    )
    assert [channel.stopped for channel in await read.channels(db)] == [True, False]
    assert count(metrics, "conflicts") == 1 and count(metrics, "held") == 2
    assert [record.levelno for record in caplog.records] == [logging.CRITICAL]


@pytest.mark.parametrize("step", [1, 50])
async def test_a_stopped_channel_goes_on_after_a_ruling_and_loses_nothing(
    db: Any,
    log: SaidLog,
    catch_up: CatchUp,
    sealed: SealedProjection,
    metrics: ProjectionMetrics,
    monkeypatch: pytest.MonkeyPatch,
    step: int,
) -> None:
    monkeypatch.setattr(rulings, "STEP_ENTRIES", step)
    known, other = seal_of(viewers(1, 2)), seal_of(viewers(1, 2), salt=1)
    big = seal_of(viewers(*range(30_000)), epoch_start_s=T0_S + HOUR_S)
    late = Late(1, CHANNEL, LOGIN, T0_S, 40, 3)
    await log.say(known, other, big, late)
    await catch_up(sealed)
    with pytest.raises(ProjectionError, match="not stopped"):
        await rulings.resume(db, sealed, "twitch:id:200", "wrong channel")
    assert await rulings.resume(db, sealed, CHANNEL, "worker 3 had an old build") == 2

    assert await read.stopped_channels(db) == []
    epoch = await read.epoch(db, CHANNEL, T0_S + HOUR_S)
    assert epoch is not None and epoch.leaf_count == 30_000
    assert [one.count for one in await read.late(db, CHANNEL, T0_S)] == [3]
    # The dismissed seal is passed over from now on; a third root is another conflict.
    await log.say(other, seal_of(viewers(1, 2), salt=2))
    await catch_up(sealed)
    assert count(metrics, "dismissed") == 1 and count(metrics, "conflicts") == 2
    assert len(await read.stopped_channels(db)) == 1


@pytest.mark.parametrize("run_leaves", [1, 4, 1_000_000])
async def test_seals_written_in_one_run_keep_their_own_leaves_and_rates(
    db: Any,
    log: SaidLog,
    catch_up: CatchUp,
    sealed: SealedProjection,
    monkeypatch: pytest.MonkeyPatch,
    run_leaves: int,
) -> None:
    monkeypatch.setattr(viewer_index, "RUN_LEAVES", run_leaves)
    dear = msgspec.structs.replace(DEFAULT_POLICY, base_units_per_centi=7)
    await log.say(
        seal_of(viewers(5, 2, 9), messages=[50, 20, 90]),
        seal_of(viewers(2, 5), messages=[21, 51], policy=dear, epoch_start_s=T0_S + HOUR_S),
        seal_of([], epoch_start_s=T0_S + 2 * HOUR_S),
        seal_of(viewers(5, 2, 9), messages=[55, 20, 90], revision=1, closed_by="reseal"),
        seal_of(viewers(9), messages=[99], channel="twitch:id:300"),
    )
    await catch_up(sealed)
    rows = await db.fetch("select * from viewer_epochs order by seal_id, leaf_index")
    assert [(row["seal_id"], row["leaf_index"], row["viewer_key"], row["weight_centi"]) for row in rows] == [
        *[(1, 0, 5, 150), (1, 1, 2, 120), (1, 2, 9, 190)],
        *[(2, 0, 2, 121), (2, 1, 5, 151)],
        *[(4, 0, 5, 155), (4, 1, 2, 120), (4, 2, 9, 190)],
        (5, 0, 9, 199),
    ]
    gains = [150 * RATE, 120 * RATE, 190 * RATE, 121 * 7, 151 * 7, 5 * RATE, 0, 0, 199 * RATE]
    assert [int(row["increase_base_units"]) for row in rows] == gains
    lying = [row["viewer_key"] for row in await db.fetch("select viewer_key from viewer_epochs order by ctid")]
    assert (lying == sorted(lying)) == (run_leaves == 1_000_000), "a run's rows lie by viewer"


async def test_only_viewers_known_by_twitch_id_can_claim(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    names = ["twitch:id:7", "twitch:login:bob", "twitch:id:007", "twitch:id:99999999999999999999", "twitch:login:cé"]
    await log.say(seal_of(names), seal_of(names, epoch_start_s=T0_S + HOUR_S))
    await catch_up(sealed)
    for name in names:
        assert len(await read.viewer_epochs(db, name)) == 2, name
        assert await read.entitlement_base_units(db, name) == (202 * RATE if name == "twitch:id:7" else 0)
    assert [row["identity"] for row in await db.fetch("select distinct identity from claimable_allocations")] == [
        "twitch:id:7"
    ]
    found = await db.fetch("select viewer from sealed_participants where epoch = $1 order by idx", T0_S)
    assert [row["viewer"] for row in found] == names


async def test_amounts_beyond_64_bits_are_exact(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    policy = msgspec.structs.replace(DEFAULT_POLICY, base_units_per_centi=2**63 - 1)
    seal = seal_of(viewers(1, 2), policy=policy)
    weight = np.array([2**63 - 1, 123], np.uint64)
    bits = weight - np.uint64(policy.weights_centi.presence)
    counts = LeafCounts(**{**msgspec.structs.asdict(seal.body.counts), "weight_centi": weight, "bits": bits})
    seal = rehashed(seal, counts)
    await log.say(seal)
    await catch_up(sealed)
    assert await read.entitlement_base_units(db, "twitch:id:1") == (2**63 - 1) ** 2
    assert await read.entitlement_base_units(db, "twitch:id:2") == 123 * (2**63 - 1)


async def test_an_inconsistent_seal_is_refused_with_an_alarm_and_a_right_one_after_it_is_taken(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection, metrics: ProjectionMetrics
) -> None:
    right = seal_of(viewers(1, 2))
    wrong_root = msgspec.structs.replace(right, header=msgspec.structs.replace(right.header, root=b"\x01" * 32))
    wrong_sum = msgspec.structs.replace(right, header=msgspec.structs.replace(right.header, total_messages=9))
    await log.say(wrong_root, wrong_sum, right)
    await log.append(EPOCH_SEALED, [Append(0, b"k", b"\xc1 no record")])
    await catch_up(sealed)
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.seal_hash == right.header.hash()
    assert await read.stopped_channels(db) == []
    kinds = sorted(alarm.kind for alarm in await read.alarms(db))
    assert kinds == ["seal_damaged", "seal_damaged", "undecodable_record"]
    assert count(metrics, "damaged") == 2


async def test_an_empty_hour_is_a_row_without_viewers(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    await log.say(seal_of([]))
    await catch_up(sealed)
    await catch_up(NamesProjection())
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None and epoch.leaf_count == 0
    assert await db.fetchval("select count(*) from viewer_epochs") == 0


async def test_late_notices_know_whether_a_revision_took_them_in(
    db: Any, log: SaidLog, catch_up: CatchUp, sealed: SealedProjection
) -> None:
    await log.say(
        seal_of(viewers(1)),
        Late(1, CHANNEL, LOGIN, T0_S, 40, 3),
        seal_of(viewers(1, 2), revision=1, closed_by="reseal", through_offset=50),
        Late(1, CHANNEL, LOGIN, T0_S, 60, 1),
        Closed(1, CHANNEL, LOGIN, T0_S + HOUR_S, T0_S + 3 * HOUR_S, 70, "end"),
    )
    await catch_up(sealed)
    assert [(one.events_offset, one.sealed) for one in await read.late(db, CHANNEL, T0_S)] == [(40, True), (60, False)]
    [closed] = await read.closed(db, CHANNEL)
    assert (closed.from_s, closed.until_s, closed.closed_by) == (T0_S + HOUR_S, T0_S + 3 * HOUR_S, "end")
