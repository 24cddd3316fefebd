"""The local server speaks Twitch's dialect, to a client that is nothing but a socket."""

import asyncio
import ssl

import pytest

from streams.collect.irc import parse_line
from streams.collect.twitch_sim.rooms import JOIN_LIMIT, JOIN_WINDOW_S, JoinLimit
from tests.integration.streams.collect.twitch_sim.conftest import Local, local_twitch
from tests.irc_client import ALL_CAPS, IrcClient


async def test_a_certificate_of_another_authority_is_not_trusted(local: Local) -> None:
    host, port = local.twitch.address
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(host, port, ssl=ssl.create_default_context())


async def test_capabilities_are_listed_granted_and_refused_as_a_whole(local: Local) -> None:
    client = await local.connect()
    client.send("CAP LS 302")
    assert await client.line() == b":tmi.twitch.tv CAP * LS :twitch.tv/commands twitch.tv/membership twitch.tv/tags"
    client.send("CAP REQ :twitch.tv/tags twitch.tv/unheard-of")
    assert await client.line() == b":tmi.twitch.tv CAP * NAK :twitch.tv/tags twitch.tv/unheard-of"
    client.send(f"CAP REQ :{ALL_CAPS}")
    assert await client.line() == f":tmi.twitch.tv CAP * ACK :{ALL_CAPS}".encode()


async def test_a_nick_is_welcomed_by_001_to_004_and_the_message_of_the_day(local: Local) -> None:
    client = await local.connect()
    client.send("PASS whatever", "NICK justinfan77")
    numerics = [(await client.line() or b"").split(b" ")[1:3] for _ in range(7)]
    assert numerics == [[n, b"justinfan77"] for n in b"001 002 003 004 375 372 376".split()]


async def test_a_join_is_echoed_listed_and_followed_by_the_rooms_state(local: Local) -> None:
    client = await local.client()
    client.send("JOIN #ember")
    assert [await client.line() for _ in range(4)] == [
        b":justinfan1!justinfan1@justinfan1.tmi.twitch.tv JOIN #ember",
        b":justinfan1.tmi.twitch.tv 353 justinfan1 = #ember :justinfan1",
        b":justinfan1.tmi.twitch.tv 366 justinfan1 #ember :End of /NAMES list",
        b"@emote-only=0;followers-only=-1;r9k=0;room-id=900001;slow=0;subs-only=0 :tmi.twitch.tv ROOMSTATE #ember",
    ]


async def test_without_the_commands_capability_there_is_no_roomstate_and_no_notice(local: Local) -> None:
    client = await local.client(caps="")
    local.twitch.misbehave.suspend("pixel")
    client.send("JOIN #ember,#pixel")
    assert [parse_line(line).verb for line in await client.answers_ping()] == [b"JOIN", b"353", b"366"]


async def test_with_membership_a_client_hears_who_is_there_comes_and_goes_and_nobody_else_does(local: Local) -> None:
    plain = await local.client("ember", nick="justinfan2")
    watcher = await local.client("ember", caps=f"{ALL_CAPS} twitch.tv/membership")
    assert watcher.lines[-2].endswith(b" 353 justinfan1 = #ember :justinfan1 justinfan2")
    other = await local.client("ember", "pixel", nick="justinfan3")
    other.send("PART #ember", "JOIN #ember")
    await other.answers_ping()
    other.close()
    came, gone = b":justinfan3!justinfan3@justinfan3.tmi.twitch.tv JOIN #ember", b" PART #ember"
    moves = [await watcher.until(lambda line: b"justinfan3" in line) for _ in range(4)]
    assert moves == [came, came.replace(b" JOIN #ember", gone)] * 2
    assert not any(b"justinfan1" in line or b"justinfan3" in line for line in await plain.answers_ping())


async def test_a_logged_in_client_gets_its_states_and_a_bad_token_is_refused(local: Local) -> None:
    client = await local.client(nick="somebot", password="oauth:good")
    client.send("JOIN #ember")
    verbs = [parse_line(line).verb for line in await client.answers_ping()]
    assert verbs == [b"GLOBALUSERSTATE", b"JOIN", b"353", b"366", b"USERSTATE", b"ROOMSTATE"]
    refused = await local.connect()
    refused.send("PASS oauth:wrong", "NICK somebot")
    assert await refused.rest() == [b":tmi.twitch.tv NOTICE * :Login authentication failed"]
    refused = await local.connect()
    refused.send("PASS nonsense", "NICK somebot")
    assert await refused.rest() == [b":tmi.twitch.tv NOTICE * :Improperly formatted auth"]


async def test_chat_is_heard_in_joined_channels_only_in_order_and_whole(local: Local) -> None:
    first, second = await local.client("ember", "nova"), await local.client("nova", nick="justinfan2")
    await first.answers_ping()
    await second.answers_ping()
    said = local.say()
    rooms = {"ember": b"ember", "nova": b"nova"}
    assert await first.answers_ping() == [line for line in said if channel_of(line) in rooms.values()]
    heard = await second.answers_ping()
    assert heard == [line for line in said if channel_of(line) == b"nova"]
    assert heard, "the test says something in both"
    first.send("PART #ember")
    await first.until(b" PART #ember")
    said = local.say()
    assert await first.answers_ping() == [line for line in said if channel_of(line) == b"nova"]


def channel_of(line: bytes) -> bytes:
    return parse_line(line).params[0].removeprefix(b"#")


async def test_a_client_without_tags_gets_lines_without_tags_and_without_commands_only_messages(local: Local) -> None:
    client = await local.client("ember", caps="")
    await client.answers_ping()
    said = [line for line in local.say() if channel_of(line) == b"ember"]
    heard = await client.answers_ping()
    assert heard == [line.partition(b" ")[2] for line in said if parse_line(line).verb == b"PRIVMSG"]


async def test_a_ping_is_answered_with_its_token_and_an_own_ping_wants_its_answer(seed: int) -> None:
    async with local_twitch(seed % 2**62, ping_every_s=0.05, ping_timeout_s=0.3) as local:
        client = await local.client()
        client.send("PING :a token")
        assert await client.until(b"PONG") == b":tmi.twitch.tv PONG tmi.twitch.tv :a token"
        for _ in range(2):
            assert await client.until(b"PING") == b"PING :tmi.twitch.tv"
            client.send("PONG :tmi.twitch.tv")
        await client.rest()  # it says nothing more: the server ends it
        assert local.twitch.counts["ping_timeouts"] == 1


async def test_joins_over_the_limit_get_no_answer_unless_told_to(seed: int) -> None:
    many: list[str] = []
    async with local_twitch(seed % 2**62, channels=JOIN_LIMIT + 5) as local:
        many = [f"#{room.login}" for room in local.twitch.rooms.all]
        client, other = await local.client(), await local.client(nick="justinfan2")
        client.send("JOIN " + ",".join(many[:15]))
        assert sum(b" 366 " in line for line in await client.answers_ping()) == 15
        other.send("JOIN " + ",".join(many[15:]))
        assert sum(b" 366 " in line for line in await other.answers_ping()) == JOIN_LIMIT - 15
        assert local.twitch.counts["joins_over_limit"] == 5
    async with local_twitch(seed % 2**62, channels=JOIN_LIMIT + 5, rate_notice=True) as local:
        client = await local.client()
        client.send("JOIN " + ",".join(many))
        notices = [line for line in await client.answers_ping() if b" NOTICE " in line]
        assert [parse_line(line).tags[b"msg-id"] for line in notices] == [b"msg_ratelimit"] * 5


def test_the_most_joins_in_a_window_are_known_allowed_or_not() -> None:
    limit = JoinLimit(2)
    for now_s in (0.0, 1.0, 2.0, 10.5, 11.5, 30.0):
        limit.allows(now_s)
    assert limit.most == 3
    assert JoinLimit(0).allows(1.0)


def test_the_limit_of_joins_is_a_window_that_slides() -> None:
    limit = JoinLimit()
    assert [limit.allows(n / 10) for n in range(JOIN_LIMIT)] == [True] * JOIN_LIMIT
    assert not limit.allows(JOIN_WINDOW_S - 0.01)
    assert limit.allows(JOIN_WINDOW_S)
    assert not limit.allows(JOIN_WINDOW_S)


async def test_a_channel_that_is_nobodys_gets_no_answer_unless_told_to(seed: int, local: Local) -> None:
    client = await local.client()
    client.send("JOIN #nobody_at_all")
    assert await client.answers_ping() == []
    async with local_twitch(seed % 2**62, unknown_notice=True) as other:
        client = await other.client()
        client.send("JOIN #nobody_at_all")
        (line,) = await client.answers_ping()
        assert parse_line(line).tags == {b"msg-id": b"msg_channel_suspended"}


@pytest.mark.parametrize("msg_id", ["msg_channel_suspended", "msg_banned", "msg_room_not_found", "tos_ban"])
async def test_a_closed_channel_is_told_to_who_is_in_it_and_to_who_joins(local: Local, msg_id: str) -> None:
    client = await local.client("ember")
    await client.answers_ping()
    local.twitch.misbehave.suspend("ember", msg_id)
    client.send("JOIN #ember")
    notice, part, again = await client.answers_ping()
    assert parse_line(notice).tags[b"msg-id"].decode() == parse_line(again).tags[b"msg-id"].decode() == msg_id
    assert part.endswith(b" PART #ember")
    local.say()
    assert await client.answers_ping() == []
    local.twitch.misbehave.restore("ember")
    await client.join("ember")


async def test_unknown_commands_are_answered_and_lines_without_end_end_the_connection(local: Local) -> None:
    client = await local.client()
    client.send("FLY away")
    assert await client.line() == b":tmi.twitch.tv 421 justinfan1 FLY :Unknown command"
    client = await local.connect()
    client.send_bytes(b"x" * 20_000)
    assert await client.rest() == []
    assert local.twitch.counts["client_lines_too_long"] == 1


async def test_quit_ends_the_connection_in_order(local: Local) -> None:
    client = await local.client()
    client.send("QUIT")
    assert await client.rest() == []
    assert not local.twitch.sessions


async def test_the_server_ends_with_clients_that_read_nothing(seed: int) -> None:
    async with local_twitch(seed % 2**62) as local:
        client = await local.client("ember")
        local.twitch.misbehave.hostile(local.twitch.sessions[0], "endless-line")
    assert isinstance(client, IrcClient)
