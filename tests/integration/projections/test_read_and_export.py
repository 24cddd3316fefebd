"""What the API and the command line read: lists in order and bounds, one viewer's everything, exports in 3 forms."""

import csv
import io
from typing import Any

import orjson
import pyarrow.parquet
import pytest

from projections import export, export_files, read
from projections.metrics import ProjectionMetrics
from projections.names import NamesProjection
from projections.sealed import SealedProjection
from schemas.seal import decode_header
from tests.integration.projections.conftest import CatchUp
from tests.seals import CHANNEL, HOUR_S, LOGIN, T0_S, SaidLog, seal_of, viewers

OTHER = "twitch:id:200"


@pytest.fixture
async def filled(log: SaidLog, catch_up: CatchUp, metrics: ProjectionMetrics) -> None:
    """Two channels; three hours of one, its second hour in two revisions."""
    await log.say(
        seal_of(viewers(1, 2)),
        seal_of(viewers(2), epoch_start_s=T0_S + HOUR_S),
        seal_of(viewers(2, 3), epoch_start_s=T0_S + HOUR_S, revision=1, closed_by="reseal"),
        seal_of([], epoch_start_s=T0_S + 2 * HOUR_S),
    )
    await catch_up(SealedProjection(metrics))
    await log.say(seal_of(viewers(2, 9), channel=OTHER, login="xqc"), partition=1)
    await catch_up(SealedProjection(metrics))
    await catch_up(NamesProjection())


@pytest.mark.usefixtures("filled")
async def test_epochs_come_newest_first_in_their_latest_revision(db: Any) -> None:
    found = await read.epochs(db, CHANNEL)
    assert [(one.epoch_start_s, one.revision) for one in found] == [
        (T0_S + 2 * HOUR_S, 0),
        (T0_S + HOUR_S, 1),
        (T0_S, 0),
    ]
    assert [one.epoch_start_s for one in await read.epochs(db, CHANNEL, T0_S + HOUR_S)] == [T0_S]
    assert len(await read.epochs(db, CHANNEL, limit=1)) == 1
    first = await read.epoch(db, CHANNEL, T0_S + HOUR_S, 0)
    assert first is not None and decode_header(first.header).revision == 0
    assert await read.epoch(db, CHANNEL, T0_S + HOUR_S, 7) is None
    newest = await read.newest_epoch(db)
    assert newest is not None and newest.epoch_start_s == T0_S + 2 * HOUR_S


@pytest.mark.usefixtures("filled")
async def test_channels_are_found_by_identity_and_by_login(db: Any) -> None:
    assert [(one.channel, one.login, one.seals) for one in await read.channels(db)] == [
        (CHANNEL, LOGIN, 4),
        (OTHER, "xqc", 1),
    ]
    assert [one.channel for one in await read.channels(db, after=CHANNEL)] == [OTHER]
    assert await read.resolve_channel(db, "xqc") == OTHER == await read.resolve_channel(db, OTHER)
    assert await read.resolve_channel(db, "nobody") is None


@pytest.mark.usefixtures("filled")
async def test_seals_after_an_id_can_be_resumed(db: Any) -> None:
    everything = await read.seals_after(db, 0)
    assert [one.seal_id for one in everything] == [1, 2, 3, 4, 5] and await read.last_seal_id(db) == 5
    assert [one.seal_id for one in await read.seals_after(db, 3)] == [4, 5]


@pytest.mark.usefixtures("filled")
async def test_everything_of_one_viewer(db: Any) -> None:
    found = await read.viewer_epochs(db, "twitch:id:2")
    assert [(one.channel, one.epoch_start_s, one.revision, one.leaf_index) for one in found] == [
        (OTHER, T0_S, 0, 0),
        (CHANNEL, T0_S + HOUR_S, 1, 0),
        (CHANNEL, T0_S + HOUR_S, 0, 0),
        (CHANNEL, T0_S, 0, 1),
    ]
    assert [one.seal_id for one in await read.viewer_epochs(db, "twitch:id:2", before_seal_id=3)] == [2, 1]
    assert [one.revision for one in await read.viewer_in_epoch(db, "twitch:id:2", CHANNEL, T0_S + HOUR_S)] == [1, 0]
    assert await read.viewer_epochs(db, "twitch:login:unknown") == []
    assert await read.entitlement_base_units(db, "twitch:id:2") == 303 * 800_000_000


async def exported(db: Any, kind: export.Kind, form: export_files.Format, span: export.Span) -> tuple[int, bytes]:
    out = io.BytesIO()
    rows = await export_files.write(export.tables(db, kind, span), export.FIELDS[kind], form, out)
    return rows, out.getvalue()


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize(("kind", "count"), [("seals", 5), ("leaves", 7), ("participants", 7), ("allocations", 6)])
async def test_exports_say_the_same_in_every_form(db: Any, kind: export.Kind, count: int) -> None:
    rows, lines = await exported(db, kind, "jsonl", export.Span())
    as_json = [orjson.loads(line) for line in lines.splitlines()]
    assert rows == len(as_json) == count
    _, data = await exported(db, kind, "parquet", export.Span())
    table = pyarrow.parquet.read_table(io.BytesIO(data))
    assert table.schema.names == export.FIELDS[kind].names == list(as_json[0])
    _, data = await exported(db, kind, "csv", export.Span())
    as_csv = list(csv.DictReader(io.StringIO(data.decode())))
    for row, other, third in zip(as_json, table.to_pylist(), as_csv, strict=True):
        row.pop("coverage", None), other.pop("coverage", None), third.pop("coverage", None)
        assert row == other
        assert {name: str(value) for name, value in row.items()} == third


@pytest.mark.usefixtures("filled")
async def test_an_export_of_seals_has_what_a_seals_file_has(db: Any) -> None:
    _, lines = await exported(db, "seals", "jsonl", export.Span(CHANNEL, T0_S, T0_S + HOUR_S))
    [seal] = [orjson.loads(line) for line in lines.splitlines()]
    epoch = await read.epoch(db, CHANNEL, T0_S)
    assert epoch is not None
    assert seal["seal_hash"] == epoch.seal_hash.hex() and seal["root"] == epoch.root.hex()
    assert seal["total_weight_centi"] == "202" and seal["coverage"] == [list(one) for one in epoch.coverage]


@pytest.mark.usefixtures("filled")
async def test_public_leaves_name_nobody(db: Any) -> None:
    for form in export_files.FORMATS:
        _, data = await exported(db, "leaves", form, export.Span())
        assert b'twitch:id:2"' not in data and b"n2" not in data
    assert not {"identity", "login"} & set(export.LEAF_FIELDS.names)


async def test_an_export_of_nothing_is_still_a_file(db: Any) -> None:
    for form in export_files.FORMATS:
        rows, data = await exported(db, "allocations", form, export.Span())
        assert rows == 0 and (form == "jsonl") == (data == b"")
