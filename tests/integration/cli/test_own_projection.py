"""The projection that docs/projections.md shows runs as shown: named by its setting, filled, rebuilt, else refused."""

import re
from pathlib import Path

import asyncpg
import pytest

from schemas.sealed import encode_record, split_seal
from streams.log.port import EPOCH_SEALED, Append
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd
from tests.seals import CHANNEL, HOUR_S, T0_S, seal_of, viewers

PAGE = Path(__file__).parents[3] / "docs" / "projections.md"


@pytest.mark.postgres
async def test_the_documented_projection_runs_beside_ours_and_is_rebuilt(
    twzrd: Twzrd, tmp_path: Path, pg_dsn: str
) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    (tmp_path / "my_module.py").write_text(code)
    [named] = re.findall(r"export TWZRD_PROJECTIONS=(\S+)", PAGE.read_text("utf-8"))
    environment = {
        "TWZRD_DATABASE_URL": pg_dsn,
        "TWZRD_PARTITIONS": "2",
        "PYTHONPATH": str(tmp_path),
        "TWZRD_PROJECTIONS": named,
    }
    log = PostgresLog(pg_dsn, partitions=2)
    await log.open()
    for seal in (
        seal_of(viewers(1, 2)),
        seal_of(viewers(1, 2, 3), revision=1, closed_by="reseal"),
        seal_of(viewers(1), epoch_start_s=T0_S + HOUR_S),
    ):
        await log.append(EPOCH_SEALED, [Append(0, b"k", encode_record(one)) for one in split_seal(seal)])
    await log.close()
    twzrd("project", "--once", **environment)
    rebuilt = twzrd("project", "--rebuild", "hour_messages", **environment)
    assert re.search(r"hour_messages +2 rows", rebuilt.out)
    connection = await asyncpg.connect(pg_dsn)
    rows = await connection.fetch("select * from hour_messages order by epoch_start_s")
    assert [tuple(row) for row in rows] == [(CHANNEL, T0_S, 1, 3), (CHANNEL, T0_S + HOUR_S, 0, 1)]
    assert await connection.fetchval("select count(*) from sealed_epochs") == 3
    await connection.close()
    assert "there are control, hour_messages, live" in twzrd("project", "--rebuild", "x", code=1, **environment).err


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("nowhere:Cheers", "nowhere:Cheers cannot be imported"),
        ("mine:Missing", "mine:Missing cannot be imported"),
        ("mine:VALUE", "no class of projections.port"),
        ("mine:Abstract", "cannot be made"),
        ("mine:Nameless", "cannot be made"),
        ("mine:Odd", "names are lowercase"),
        ("mine:Taken", "projection 'sealed'"),
        ("mine", "module:Class"),
    ],
)
def test_a_projection_that_cannot_run_is_named(twzrd: Twzrd, tmp_path: Path, named: str, said: str) -> None:
    base = "from projections.port import Projection\nVALUE = 1\n"
    for name, body in {
        "Abstract": "name, stream, version, tables = 'a', 'dead', 1, ('a',)",
        "Nameless": "async def apply(self, connection, entries): ...",
        "Odd": "name, stream, version, tables = 'a; drop', 'dead', 1, ('a',)\n    async def apply(self, *_): ...",
        "Taken": "name, stream, version, tables = 'a', 'dead', 1, ('channels',)\n    async def apply(self, *_): ...",
    }.items():
        base += f"class {name}(Projection):\n    {body}\n"
    (tmp_path / "mine.py").write_text(base)
    ran = twzrd("project", "--rebuild", "a", code=1, PYTHONPATH=str(tmp_path), TWZRD_PROJECTIONS=named)
    assert said in ran.err and "Traceback" not in ran.err
