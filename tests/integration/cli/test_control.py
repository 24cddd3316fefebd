"""`twzrd channels` and `twzrd optout` as people type them, on the embedded Postgres."""

import asyncio
import json

import asyncpg
import pytest

from schemas import control
from streams.collect.live.control import say
from streams.log.postgres import PostgresLog
from tests.integration.cli.conftest import Twzrd

pytestmark = pytest.mark.postgres

T = 1_767_225_600_000


@pytest.fixture
def settings_of(pg_dsn: str) -> dict[str, str]:
    """A database of the test's own, so that no server needs to start for each command."""
    return {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_PARTITIONS": "2"}


def rows(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def tell(dsn: str, *records: control.Record) -> None:
    async def main() -> None:
        log = PostgresLog(dsn, partitions=2)
        await log.open()
        await say(log, *records)
        await log.close()

    asyncio.run(main())


def test_channels_are_added_listed_removed(twzrd: Twzrd, settings_of: dict[str, str]) -> None:
    twzrd("channels", "add", "#Forsen", "xqc", "--note", "asked for", **settings_of)
    listed = rows(twzrd("channels", "list", "--json", **settings_of).out)
    assert [(row["channel"], row["wanted"], row["by"], row["note"]) for row in listed] == [
        ("forsen", True, "operator", "asked for"),
        ("xqc", True, "operator", "asked for"),
    ]
    removed = rows(twzrd("channels", "remove", "xqc", "nobody", "--json", **settings_of).out)
    assert [(row["channel"], row["said"]) for row in removed] == [("xqc", "removed"), ("nobody", "was not wanted")]
    assert [row["channel"] for row in rows(twzrd("channels", "list", "--json", **settings_of).out)] == ["forsen"]
    assert "no Twitch login" in twzrd("channels", "add", "a b", code=1, **settings_of).err


def test_removing_what_the_discovery_wants_denies_it(twzrd: Twzrd, pg_dsn: str, settings_of: dict[str, str]) -> None:
    tell(pg_dsn, control.Wanted(1, "forsen", "1", "discovery", "discovery", T, "5000 viewers"))
    removed = rows(twzrd("channels", "remove", "forsen", "--json", **settings_of).out)
    assert removed == [{"channel": "forsen", "wanted": False, "said": "removed, and denied to the discovery"}]
    assert twzrd("channels", "why", "forsen", "--json", **settings_of).json["wanted"] is False
    ruled = rows(twzrd("channels", "rule", "none", "forsen", "--json", **settings_of).out)
    assert ruled == [{"channel": "forsen", "wanted": True, "said": "no word on it"}]


def test_why_says_state_reason_and_what_was_tried_and_is_harmless(
    twzrd: Twzrd, pg_dsn: str, settings_of: dict[str, str]
) -> None:
    silent = twzrd("channels", "why", "forsen", **settings_of).out
    assert silent == "forsen: not wanted\n"
    twzrd("channels", "add", "forsen", **settings_of)
    assert "is one running?" in twzrd("channels", "why", "forsen", **settings_of).out
    attempts = [control.Attempt(T, "join", "no ROOMSTATE \x1b[31min 10 s")]
    tell(pg_dsn, control.ChannelState(1, "forsen", "22", "host\x07-1", "parked", "suspended", T, T + 1000, attempts))
    facts = twzrd("channels", "why", "forsen", "--json", **settings_of).json
    [state] = facts["collectors"]
    assert (state["state"], state["reason"], state["since"]) == ("parked", "suspended", "2026-01-01T00:00:00Z")
    shown = twzrd("channels", "why", "forsen", **settings_of).out
    assert "parked since 2026-01-01T00:00:00Z: suspended" in shown and "join: no ROOMSTATE" in shown
    assert "\x1b" not in shown and "\x07" not in shown


def test_an_optout_by_login_takes_the_known_identity_along_and_goes_back_the_same_way(
    twzrd: Twzrd, pg_dsn: str, settings_of: dict[str, str]
) -> None:
    twzrd("db", "migrate", **settings_of)

    async def know() -> None:
        connection = await asyncpg.connect(pg_dsn)
        await connection.execute(
            "insert into viewer_logins values (7, 'ann', 1, '2025-01-02'), (9, 'ann', 0, '2024-01-01')"
        )
        await connection.close()

    asyncio.run(know())
    # 9 bore the login before and opted out alone: what is said of the login's bearer must not touch them.
    twzrd("optout", "add", "twitch:id:9", "--note", "by mail", **settings_of)
    added = rows(twzrd("optout", "add", "Ann", "--json", **settings_of).out)
    assert [row["viewer"] for row in added] == ["twitch:login:ann", "twitch:id:7"]
    listed = rows(twzrd("optout", "list", "--json", **settings_of).out)
    assert {row["viewer"] for row in listed} == {"twitch:id:9", "twitch:login:ann", "twitch:id:7"}
    twzrd("optout", "remove", "ann", **settings_of)
    assert [row["viewer"] for row in rows(twzrd("optout", "list", "--json", **settings_of).out)] == ["twitch:id:9"]
    assert "is not opted out" in twzrd("optout", "remove", "ann", code=1, **settings_of).err
    assert "identity" in twzrd("optout", "add", "twitch:id:x", code=1, **settings_of).err

    twzrd("project", "--once", **settings_of)

    async def tables() -> tuple[object, object]:
        connection = await asyncpg.connect(pg_dsn)
        listed = await connection.fetch("select viewer, note from suppression_list")
        logged = await connection.fetch("select viewer, suppressed from suppression_log order by control_offset")
        await connection.close()
        return listed, logged

    listed_rows, logged_rows = asyncio.run(tables())
    assert listed_rows == [("twitch:id:9", "by mail")]
    assert logged_rows == [
        ("twitch:id:9", True),
        ("twitch:login:ann", True),
        ("twitch:id:7", True),
        ("twitch:login:ann", False),
        ("twitch:id:7", False),
    ]


def test_log_cat_shows_control_records(twzrd: Twzrd, settings_of: dict[str, str]) -> None:
    twzrd("channels", "add", "forsen", **settings_of)
    [record] = rows(twzrd("log", "cat", "control", **settings_of).out)
    assert (record["type"], record["login"], record["key"]) == ("wanted", "forsen", "wanted|operator|forsen")
