"""What is printed of read models that are not there, are damaged, or wait for a ruling: one line with the mend."""

import json
from pathlib import Path

import asyncpg
import pytest

from schemas.sealed import encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append
from streams.log.postgres import PostgresLog
from tests.hours import CHANNEL, LOGIN, PEPPER, T0_S, sealed_hour, viewers_of
from tests.integration.cli.conftest import Twzrd

pytestmark = pytest.mark.postgres


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("proof", "--channel", "a", "--epoch", "0", "--viewer", "b"),
        ("project", "--resume", "a"),
        ("reseal", "--channel", "a", "--epoch", "0"),
    ],
)
def test_a_database_that_was_never_set_up_is_named_with_the_mend(
    twzrd: Twzrd, pg_dsn: str, pepper_file: Path, arguments: tuple[str, ...]
) -> None:
    ran = twzrd(*arguments, code=1, TWZRD_DATABASE_URL=pg_dsn, TWZRD_PEPPER_FILE=str(pepper_file))
    assert "lacks a table" in ran.err and "twzrd db migrate" in ran.err


async def test_a_stop_a_ruling_and_damaged_leaves_as_an_operator_sees_them(
    twzrd: Twzrd, tmp_path: Path, pg_dsn: str
) -> None:
    (tmp_path / "pepper").write_text(PEPPER.hex())
    (tmp_path / "pepper").chmod(0o600)
    environment = {
        "TWZRD_DATABASE_URL": pg_dsn,
        "TWZRD_PARTITIONS": "2",
        "TWZRD_PEPPER_FILE": str(tmp_path / "pepper"),
    }
    known, met = sealed_hour(viewers_of(5)), sealed_hour(viewers_of(6))
    log = PostgresLog(pg_dsn, partitions=2)
    await log.open()
    for seal in (known, met, sealed_hour(viewers_of(5), epoch_start_s=T0_S + 3600)):
        await log.append(EPOCH_SEALED, [Append(0, b"k", encode_record(one)) for one in split_seal(seal)])
    await log.close()
    twzrd("project", "--once", **environment)
    status = twzrd("status", "--json", **environment).json
    [stopped] = status["stopped_channels"]
    assert (stopped["channel"], stopped["held"]) == (CHANNEL, 1)
    assert (stopped["known_seal_hash"], stopped["met_seal_hash"]) == (
        known.header.hash().hex(),
        met.header.hash().hex(),
    )
    assert status["alarms"][0]["kind"] == "seal_conflict"
    assert "seal_conflict" in twzrd("status", **environment).out
    assert len(twzrd("export", "seals", **environment).out.splitlines()) == 1

    resumed = twzrd("project", "--resume", LOGIN.upper(), "--note", "worker 3 had an old build", **environment)
    assert resumed.out == "1 held records applied\n"
    assert len(twzrd("export", "seals", **environment).out.splitlines()) == 2
    assert "is not stopped" in twzrd("project", "--resume", CHANNEL, code=1, **environment).err

    proof = ("proof", "--channel", LOGIN.upper(), "--epoch", T0_S, "--viewer", "twitch:id:1002")
    assert json.loads(twzrd(*proof, **environment).out)["kind"] == "presence"
    connection = await asyncpg.connect(pg_dsn)
    other = await connection.fetchval("select body from sealed_epochs where epoch_start_s > $1", T0_S)
    for body, said in ((other, "do not give their seal's root"), (b"\x00" * 40, "does not decode")):
        await connection.execute("update sealed_epochs set body = $2 where epoch_start_s = $1", T0_S, body)
        ran = twzrd(*proof, code=1, **environment)
        assert said in ran.err and "--rebuild sealed" in ran.err and ran.out == ""
    for kind in ("leaves", "participants"):
        ran = twzrd("export", kind, code=1, **environment)
        assert f"leaves of {CHANNEL} at {T0_S} revision 0 are damaged" in ran.err and "--rebuild sealed" in ran.err
    await connection.close()
    refused = twzrd("project", "--rebuild", "sealed", code=1, **environment)
    assert "sealed_epochs: stands" in refused.err and "--replace" in refused.err
    # What those errors told to do.
    twzrd("project", "--rebuild", "sealed", "--replace", **environment)
    assert json.loads(twzrd(*proof, **environment).out)["kind"] == "presence"
    assert "goes with --rebuild" in twzrd("project", "--replace", code=2, **environment).err
