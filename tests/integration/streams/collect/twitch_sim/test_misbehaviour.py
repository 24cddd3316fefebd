"""Each misbehaviour on command, seen by a client that is nothing but a socket."""

import asyncio
from collections import Counter

import pytest

from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.irc import parse_line
from streams.collect.twitch_sim import parse_faults
from streams.collect.twitch_sim.faults import DEFAULT_FOR_S
from streams.collect.twitch_sim.hostile import ENDLESS_BYTES, KINDS
from tests.integration.streams.collect.twitch_sim.conftest import Local, ids_of, local_twitch
from tests.irc_client import ALL_CAPS, PATIENCE_S, IrcClient

MEMBERSHIP = f"{ALL_CAPS} twitch.tv/membership"


async def ready(local: Local, *logins: str) -> IrcClient:
    client = await local.client(*logins)
    await client.answers_ping()
    return client


async def test_a_cut_ends_the_connection_at_once(local: Local) -> None:
    client = await ready(local, "ember")
    local.twitch.misbehave.cut(local.twitch.sessions[0])
    assert await client.rest() == []
    assert not local.twitch.sessions


async def test_a_close_comes_after_what_was_said(local: Local) -> None:
    client = await ready(local, "ember")
    said = local.say()
    local.twitch.misbehave.close(local.twitch.sessions[0])
    assert await client.rest() == [line for line in said if channel(line) == b"ember"]


async def test_a_half_closed_connection_says_no_more_and_still_reads(local: Local) -> None:
    client = await ready(local, "ember")
    (session,) = local.twitch.sessions
    said = local.say()
    local.twitch.misbehave.half_close(session)
    assert await client.rest() == [line for line in said if channel(line) == b"ember"]
    written, ended, end = session.wire.plain_bytes, asyncio.Event(), session.wire.on_end
    client.send("PING :anybody")
    local.say()
    assert session.wire.plain_bytes == written
    rows = local.twitch.ledger.table()
    assert rows[rows["channel"] == 0]["end_offset"][-1] == -1
    assert not session.wire.ended

    def told() -> None:
        end()
        ended.set()

    session.wire.on_end = told
    client.close()
    async with asyncio.timeout(PATIENCE_S):
        await ended.wait()
    assert not local.twitch.sessions


async def test_reconnect_is_said_then_chat_goes_on_then_the_connection_ends(local: Local) -> None:
    client = await ready(local, "ember")
    local.twitch.misbehave.reconnect(local.twitch.sessions[0], for_s=0.2)
    assert await client.line() == b":tmi.twitch.tv RECONNECT"
    said = local.say()
    assert await client.rest() == [line for line in said if channel(line) == b"ember"]


async def test_a_silent_connection_stays_and_says_and_answers_nothing(local: Local) -> None:
    client = await ready(local, "ember")
    (session,) = local.twitch.sessions
    local.twitch.misbehave.silence(session, for_s=0.3)
    client.send("PING :anybody")
    local.say()
    assert await client.rest() == [], "nothing comes but the end"
    rows = local.twitch.ledger.table()
    assert set(rows["connection"][rows["channel"] == 0]) == {session.number}
    assert set(rows["end_offset"][rows["channel"] == 0]) == {-1}, "the ledger knows that it was never written"


async def test_what_is_delayed_comes_late_and_in_order(local: Local) -> None:
    client = await ready(local, "ember")
    (session,) = local.twitch.sessions
    local.twitch.misbehave.delay(session, delay_s=0.3, for_s=0.1)
    began = asyncio.get_running_loop().time()
    said = local.say()
    await asyncio.sleep(0.15)  # the delay is over; what is held back still goes first
    said += local.say()
    heard = await client.answers_ping()
    assert asyncio.get_running_loop().time() - began >= 0.3
    assert heard == [line for line in said if channel(line) == b"ember"]


async def test_split_writes_end_at_any_byte_and_lose_none(local: Local) -> None:
    client = await ready(local, "ember", "pixel")
    (session,) = local.twitch.sessions
    local.twitch.misbehave.split(session)
    pieces: list[bytes] = []
    send = session.wire.send

    def spy(data: bytes) -> None:
        pieces.append(data)
        send(data)

    session.wire.send = spy  # type: ignore[method-assign, assignment]
    said = [line for _ in range(3) for line in local.say()]
    heard = await client.answers_ping()
    assert heard == [line for line in said if channel(line) in (b"ember", b"pixel")]
    assert sum(not piece.endswith(b"\r\n") for piece in pieces) > 3


async def test_duplicates_are_the_last_lines_again_byte_for_byte(local: Local) -> None:
    client = await ready(local, "ember")
    local.say()
    first = await client.answers_ping()
    local.twitch.misbehave.duplicate(local.twitch.sessions[0], lines=10)
    assert await client.answers_ping() == first[-10:]


async def test_a_wrong_pong_bears_another_token_and_none_is_none(local: Local) -> None:
    client = await ready(local)
    (session,) = local.twitch.sessions
    local.twitch.misbehave.wrong_pong(session)
    client.send("PING :mine")
    assert await client.line() == b":tmi.twitch.tv PONG tmi.twitch.tv :not-mine"
    assert await client.answers_ping() == []
    local.twitch.misbehave.wrong_pong(session, -1)
    client.send("PING :mine", "FLY")
    assert b" 421 " in (await client.line() or b"")


async def test_a_flood_is_chat_and_everybody_in_the_channel_hears_it(local: Local) -> None:
    first, second = await ready(local, "ember"), await local.client("pixel", nick="justinfan2")
    await second.answers_ping()
    local.twitch.misbehave.flood("ember", lines=3000)
    heard = await first.answers_ping()
    chunk = parse_irc_chunk(b"\n".join(heard))
    assert len(heard) == chunk.counts["events"] == 3000
    assert await second.answers_ping() == []
    assert len(set(ids_of(local.twitch.ledger.table()))) == 3000


async def test_a_crowd_comes_is_listed_and_goes_for_those_with_membership_alone(local: Local) -> None:
    plain = await ready(local, "ember")
    watcher = await local.client("ember", nick="justinfan2", caps=MEMBERSHIP)
    await watcher.answers_ping()
    local.twitch.misbehave.crowd("ember", viewers=90, for_s=0.5)
    lines = await watcher.answers_ping()
    assert len(lines) == 90 and all(line.endswith(b" JOIN #ember") for line in lines)
    late = await local.client("ember", nick="justinfan3", caps=MEMBERSHIP)
    lists = [line for line in late.lines if b" 353 " in line]
    names = [name for line in lists for name in line.rpartition(b":")[2].split()]
    assert len(lists) == 3 and len(set(names)) == len(names) == 93 and max(map(len, lists)) <= 510
    for number in range(90):
        await watcher.until(f":lurker{number}!.* PART #ember")
    heard = await plain.answers_ping()
    assert not any(b"lurker" in line for line in plain.lines + heard)


async def test_a_netsplit_puts_everybody_out_and_keeps_them_out_for_so_long(local: Local) -> None:
    client = await ready(local, "ember", "pixel")
    local.twitch.misbehave.netsplit(["ember"], for_s=0.3)
    assert await client.answers_ping() == [b":justinfan1!justinfan1@justinfan1.tmi.twitch.tv PART #ember"]
    said = local.say()
    client.send("JOIN #ember")
    assert await client.answers_ping() == [line for line in said if channel(line) == b"pixel"]
    async with asyncio.timeout(PATIENCE_S):
        while not any(b" 366 " in line for line in await client.answers_ping()):
            client.send("JOIN #ember")


async def test_a_renamed_channel_keeps_its_id_under_the_new_login(local: Local) -> None:
    client = await ready(local, "ember")
    local.twitch.misbehave.rename("ember", "brandnew")
    client.send("JOIN #ember", "JOIN #brandnew")
    answers = await client.answers_ping()
    assert answers[0].endswith(b" PART #ember")
    assert b"room-id=900001;" in answers[-1]
    assert not any(b"#ember" in line for line in answers[1:])
    local.say()
    heard = await client.answers_ping()
    assert {channel(line) for line in heard} == {b"brandnew"}
    with pytest.raises(ValueError, match="taken"):
        local.twitch.misbehave.rename("pixel", "brandnew")


@pytest.mark.parametrize("kind", KINDS)
async def test_hostile_lines_are_sent_and_none_of_them_is_an_event(local: Local, kind: str) -> None:
    client = await ready(local, "ember")
    local.twitch.misbehave.hostile(local.twitch.sessions[0], kind)
    lines = await client.answers_ping()
    assert lines
    assert parse_irc_chunk(b"\n".join(lines)).counts["events"] == 0
    if kind == "endless-line":
        assert len(lines[0]) > ENDLESS_BYTES


async def test_the_ledger_holds_every_event_that_was_said_heard_or_not(local: Local) -> None:
    client = await ready(local, "ember", "pixel")
    (session,) = local.twitch.sessions
    said = [line for _ in range(5) for line in local.say()]
    heard = await client.answers_ping()
    ledger = local.twitch.ledger
    events = Counter({name: len(columns) for name, columns in channels_of(said).items()})
    rows = list(ledger)
    assert Counter(row.channel for row in rows) == events
    assert {row.channel for row in rows if row.connection == session.number} == {"ember", "pixel"}
    assert {row.connection for row in rows if row.channel not in ("ember", "pixel")} == {0}
    got = channels_of(heard)
    for login in ("ember", "pixel"):
        assert [row.at_ms for row in rows if row.channel == login] == got[login]
    local.twitch._note_flushed()
    assert all(row.flushed and row.written for row in ledger if row.connection)


def channels_of(lines: list[bytes]) -> dict[str, list[int]]:
    """Times of the events by channel's login, in order."""
    out: dict[str, list[int]] = {}
    for line in lines:
        chunk = parse_irc_chunk(line)
        for login, events in chunk.channels.values():
            out.setdefault(login, []).extend(events.at.tolist())
    return out


async def test_a_seeded_schedule_strikes_with_every_kind(seed: int) -> None:
    spec = ",".join(f"{kind}/0.05/0.01" for kind in DEFAULT_FOR_S if kind != "hostile")
    async with local_twitch(seed % 2**62, faults=parse_faults(spec), join_limit=0) as local:
        counts = local.twitch.counts
        async with asyncio.timeout(PATIENCE_S * 3):
            while not all(counts[kind] for kind in DEFAULT_FOR_S if kind != "hostile"):
                client = await local.connect()
                client.send("CAP REQ :twitch.tv/tags twitch.tv/commands", "NICK justinfan1", "JOIN #ember,#pixel,#nova")
                local.say(5)
                while await client.line() is not None:
                    pass


def channel(line: bytes) -> bytes:
    return parse_line(line).params[0].removeprefix(b"#")
