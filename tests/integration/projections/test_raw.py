"""`twzrd raw`: each event once in the table, files that agree with it through every fault, no opted-out viewer."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from projections import positions
from projections.day_files import DayFiles
from projections.raw_events import RawEvents, RawMessages, expire
from schemas import control
from schemas import text as texts
from schemas.errors import SchemaError
from streams.collect.live.control import ControlView, say
from streams.collect.live.texts import MAX_WAITING, TextSender
from streams.log.port import CHAT_TEXT, Append
from tests.integration.projections.conftest import CatchUp
from tests.seals import CHANNEL, T0_S, SaidLog, live_envelope


class Suppression:
    """Who is opted out, as the control view would say."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __call__(self, identity: str, login: str) -> bool:
        return identity in self.names or f"twitch:login:{login}" in self.names


@pytest.fixture
def suppression() -> Suppression:
    return Suppression()


@pytest.fixture
def files(tmp_path: Path) -> Iterator[DayFiles]:
    made = DayFiles(tmp_path / "raw", "events")
    made.open()
    yield made
    made.close()


def lines(files: DayFiles) -> list[dict[str, Any]]:
    found = sorted(files._folder.glob("*.ndjson"))
    return [json.loads(line) for path in found for line in path.read_text().splitlines()]


async def test_events_are_in_the_table_once_and_in_the_file_as_the_log_has_them(
    db: Any, log: SaidLog, catch_up: CatchUp, files: DayFiles, suppression: Suppression
) -> None:
    await log.chat(live_envelope([(1, "ann"), (2, "bob")], seq=0, amount=5))
    await log.chat(live_envelope([(1, "ann"), (2, "bob")], seq=0, amount=5, source="another collector"))
    await log.chat(live_envelope([(1, "ann")], seq=1, kind=4, amount=50), partition=1)
    for _ in range(3):  # a process each
        await catch_up(RawEvents(files, suppression))
    rows = await db.fetch(
        "select viewer, login, kind, amount, at_ms, channel, channel_login, partition from twitch_events_raw "
        "order by partition, at_ms"
    )
    assert [tuple(row) for row in rows] == [
        ("twitch:id:1", "ann", 0, 5, T0_S * 1000 + 1000, CHANNEL, "forsen", 0),
        ("twitch:id:2", "bob", 0, 5, T0_S * 1000 + 1001, CHANNEL, "forsen", 0),
        ("twitch:id:1", "ann", 4, 50, T0_S * 1000 + 1000, CHANNEL, "forsen", 1),
    ]
    assert sorted((one["partition"], one["offset"], one["n"], one["kind"]) for one in lines(files)) == [
        (0, 0, 0, "message"),
        (0, 0, 1, "message"),
        (0, 1, 0, "message"),
        (0, 1, 1, "message"),
        (1, 0, 0, "raid"),
    ]


@pytest.mark.parametrize("killed_at", ["set_position", "set_day_file_size", "commit"])
async def test_a_fault_at_any_step_leaves_table_and_file_agreeing(
    db: Any,
    log: SaidLog,
    catch_up: CatchUp,
    files: DayFiles,
    suppression: Suppression,
    monkeypatch: pytest.MonkeyPatch,
    killed_at: str,
) -> None:
    await log.chat(live_envelope([(1, "ann")], seq=0))
    await catch_up(RawEvents(files, suppression))
    await log.chat(live_envelope([(2, "bob")], seq=1))
    broken = RawEvents(files, suppression)
    patched = pytest.MonkeyPatch()
    if killed_at == "set_position":
        patched.setattr(positions, "advance", _fail)
    elif killed_at == "set_day_file_size":
        patched.setattr(files, "_append", _write_and_fail(files._append))
    else:
        patched.setattr(broken, "low_water", _fail_now)  # asked after everything was written
    with pytest.raises(RuntimeError, match="killed"):
        await catch_up(broken)
    patched.undo()
    await catch_up(RawEvents(files, suppression))
    assert [one["login"] for one in lines(files)] == ["ann", "bob"]
    assert await db.fetchval("select count(*) from twitch_events_raw") == 2


async def _fail(*_: object) -> None:
    raise RuntimeError("killed")


def _fail_now(*_: object) -> None:
    raise RuntimeError("killed")


def _write_and_fail(append: Any) -> Any:
    def failing(*arguments: object) -> int:
        append(*arguments)
        raise RuntimeError("killed")

    return failing


async def test_an_opted_out_viewer_appears_nowhere_even_where_the_log_knows_them(
    db: Any, log: SaidLog, catch_up: CatchUp, files: DayFiles, suppression: Suppression, tmp_path: Path
) -> None:
    suppression.names = {"twitch:id:31337", "twitch:login:hidden"}
    await log.chat(live_envelope([(1, "ann"), (31337, "secretive"), (5, "hidden"), (1, "ann")], seq=0))
    text = TextSender(log)
    for viewer, login in (("twitch:id:1", "ann"), ("twitch:id:31337", "secretive"), ("twitch:id:5", "hidden")):
        text.put(CHANNEL, "forsen", bytes(16), T0_S * 1000, viewer, login, f"said by {login}")
    await text.flush()
    events, messages = RawEvents(files, suppression), RawMessages(files, suppression)
    await catch_up(events)
    await catch_up(messages)
    assert (events.counters.suppressed_total, messages.counters.suppressed_total) == (2, 2)
    dump = "".join(path.read_text() for path in files._folder.iterdir())
    for table in ("twitch_events_raw", "twitch_messages_raw", "alarms"):
        dump += str(await db.fetch(f"select * from {table}"))
    assert dump.count("ann") > 4
    assert not any(name in dump for name in ("31337", "secretive", "hidden"))


async def test_messages_are_kept_apart_with_their_events_ids(
    db: Any, log: SaidLog, catch_up: CatchUp, files: DayFiles, suppression: Suppression
) -> None:
    sender = TextSender(log)
    for number in range(450):
        sender.put(CHANNEL, "forsen", number.to_bytes(16, "big"), T0_S * 1000, "twitch:id:1", "ann", f"m{number}\0é")
    await sender.flush()
    assert len(log.records(CHAT_TEXT)) == 3 and sender.counters.sent_total == 450
    await log.append(CHAT_TEXT, [Append(None, b"k", b"\xc1")])
    await catch_up(RawMessages(files, suppression))
    await catch_up(RawMessages(files, suppression))
    rows = await db.fetch("select event_id, message from twitch_messages_raw order by event_id")
    assert [(int.from_bytes(row["event_id"], "big"), row["message"]) for row in rows] == [
        (number, f"m{number} é") for number in range(450)
    ]
    assert len(lines(files)) == 450
    assert await db.fetchval("select count(*) from alarms where kind = 'undecodable_record'") == 1


async def test_text_waits_bounded_and_is_dropped_not_raised(log: SaidLog) -> None:
    sender = TextSender(log)
    for number in range(MAX_WAITING + 5):
        sender.put(CHANNEL, "forsen", number.to_bytes(16, "big"), T0_S * 1000, "twitch:id:1", "ann", "x" * 9999)
    assert sender.counters.dropped_total == 5
    log.fail.add("append")
    await sender.flush()
    assert (sender.counters.dropped_total, sender.counters.sent_total) == (MAX_WAITING + 5, 0)
    log.fail.clear()
    sender.put(CHANNEL, "forsen", b"short", T0_S * 1000, "twitch:id:1", "ann", "x")
    await sender.flush()
    assert (sender.counters.dropped_total, len(log.records(CHAT_TEXT))) == (MAX_WAITING + 6, 0)


async def test_text_that_waited_is_held_against_the_opt_outs_of_meanwhile(
    log: SaidLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = ControlView(log)
    following = asyncio.create_task(view.follow())
    await view.ready()
    sender = TextSender(log, view, view.caught_up)
    for viewer, login in (("twitch:id:1", "ann"), ("twitch:id:31337", "secretive")):
        sender.put(CHANNEL, "forsen", bytes(16), T0_S * 1000, viewer, login, f"said by {login}")
    await say(log, control.OptOut(1, "twitch:id:31337", "ann", T0_S * 1000, ""))
    await sender.flush()
    [record] = log.records(CHAT_TEXT)
    assert b"ann" in record.value and b"secretive" not in record.value
    assert (sender.counters.sent_total, sender.counters.suppressed_total) == (1, 1)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    # Nobody follows any more, so nothing is certain: rather no text than theirs.
    monkeypatch.setattr("streams.collect.live.texts.ANSWER_S", 0.05)
    sender.put(CHANNEL, "forsen", bytes(16), T0_S * 1000, "twitch:id:1", "ann", "x")
    await say(log, control.OptOut(1, "twitch:id:1", "ann", T0_S * 1000, ""))
    await sender.flush()
    assert sender.counters.dropped_total == 1 and len(log.records(CHAT_TEXT)) == 1


def test_no_error_of_a_text_record_quotes_the_text() -> None:
    good = texts.Line(bytes(16), T0_S * 1000, "twitch:id:1", "ann", "a private word")
    data = texts.encode(CHANNEL, "forsen", [good])
    for bad in (data[:-3], data.replace(b"\x01", b"\x7f", 1), data.replace(b"private", b"pri\0ate")):
        with pytest.raises(SchemaError) as caught:
            texts.decode(bad)
        assert "word" not in str(caught.value)


async def test_rows_beyond_the_retention_go(
    db: Any, log: SaidLog, catch_up: CatchUp, files: DayFiles, suppression: Suppression
) -> None:
    await log.chat(live_envelope([(1, "ann")], seq=0))
    await log.chat(live_envelope([(2, "bob")], seq=1, at_s=T0_S + 86_400))
    await catch_up(RawEvents(files, suppression))
    await expire(db, (T0_S + 30 * 86_400 + 10) * 1000, 30)
    assert await db.fetchval("select string_agg(login, ',') from twitch_events_raw") == "bob"
