"""One connection on a scripted server with real TLS: what it does at every misbehaviour of the other side."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from streams.collect.chunk import MAX_LINE_BYTES as LINE_LIMIT
from streams.collect.irc import Message
from streams.collect.live.connection import ConnectFailed, Connection, Endpoint, Timing, connect
from streams.collect.live.keepalive import Deadlines
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.tls import TlsError, client_context
from tests.integration.streams.collect.live.conftest import QUICK
from tests.recording_intake import RecordingIntake
from tests.scripted_twitch import HOST, PATIENCE_S, Authority, ScriptedTwitch, scripted_twitch


class Heard:
    """A Listener that remembers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.leave: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def said(self, connection: Connection, message: Message, at_ms: int) -> None:
        self.messages.append(message)

    def leave_soon(self, connection: Connection, why: str) -> None:
        if not self.leave.done():
            self.leave.set_result(why)


class Open:
    """A connection and what is around it."""

    def __init__(self, seed: int, timing: Timing) -> None:
        self.intake = RecordingIntake()
        self.listener = Heard()
        self.metrics = CollectMetrics()
        self.timing = timing
        self.it = Connection(1, self.intake, self.listener, self.metrics, random.Random(seed), timing)

    async def end(self) -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await self.it.ended


Opener = Callable[..., Awaitable[Open]]


@pytest.fixture
async def opened(endpoint: Endpoint, seed: int) -> AsyncIterator[Opener]:
    made: list[Open] = []

    async def opener(timing: Timing = QUICK, to: Endpoint = endpoint) -> Open:
        made.append(Open(seed, timing))
        await connect(made[-1].it, to, timing)
        return made[-1]

    yield opener
    for one in made:
        one.it.abort("test over")
        await one.end()


async def test_an_anonymous_nick_asks_for_tags_and_commands_and_is_welcomed(
    twitch: ScriptedTwitch, opened: Opener
) -> None:
    one = await opened()
    session = await twitch.session(0)
    await session.until_received(b"CAP END")
    nick = one.it.nick
    assert nick.startswith(b"justinfan") and nick.removeprefix(b"justinfan").isdigit()
    assert session.received[:5] == [
        b"CAP REQ :twitch.tv/tags",
        b"CAP REQ :twitch.tv/commands",
        b"PASS SCHMOOPIIE",
        b"NICK " + nick,
        b"USER " + nick + b" 0 * :" + nick,
    ]
    assert one.it.alive and one.metrics.capabilities_denied_total == 0


@pytest.mark.parametrize("caps", ["NAK", "unknown"])
async def test_a_server_that_refuses_the_capabilities_is_used_without(
    twitch: ScriptedTwitch, opened: Opener, caps: str
) -> None:
    twitch.caps = caps  # type: ignore[assignment]
    twitch.welcome = False
    connecting = asyncio.ensure_future(opened())
    session = await twitch.session(0)
    await session.until_received(b"CAP END")
    session.say(b":irc.test 001 " + session.nick + b" :Welcome")
    one = await connecting
    assert one.it.alive and one.metrics.capabilities_denied_total == 2


async def test_a_taken_nick_is_changed(twitch: ScriptedTwitch, opened: Opener) -> None:
    twitch.welcome = False
    connecting = asyncio.ensure_future(opened())
    session = await twitch.session(0)
    await session.until_received(b"NICK")
    first = session.nick
    session.say(b":irc.test 433 * " + first + b" :Nickname is already in use")
    await session.until_received(b"NICK", 2)
    session.say(b":irc.test 001 " + session.nick + b" :Welcome")
    one = await connecting
    assert one.it.nick == session.nick != first


async def test_a_certificate_of_another_name_is_refused(authority: Authority, opened: Opener) -> None:
    async with scripted_twitch(authority, "somebody.else.test") as server:
        with pytest.raises(ConnectFailed, match="certificate is not to be trusted") as caught:
            await opened(to=Endpoint(HOST, server.port, client_context(authority.ca_file)))
        assert caught.value.reason == "certificate refused"
        assert not server.sessions


async def test_a_certificate_of_an_unknown_authority_is_refused(twitch: ScriptedTwitch, opened: Opener) -> None:
    with pytest.raises(ConnectFailed) as caught:
        await opened(to=Endpoint(HOST, twitch.port, client_context()))
    assert caught.value.reason == "certificate refused"


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(TlsError, match=r"missing\.pem: No such file"):
        client_context(tmp_path / "missing.pem")
    (tmp_path / "empty.pem").write_text("hello")
    with pytest.raises(TlsError, match=r"empty\.pem holds no certificate"):
        client_context(tmp_path / "empty.pem")


async def test_a_refused_port_and_an_unknown_name_are_told_apart(
    twitch: ScriptedTwitch, endpoint: Endpoint, opened: Opener
) -> None:
    await twitch.stop()
    with pytest.raises(ConnectFailed) as refused:
        await opened()
    assert refused.value.reason == "refused"
    with pytest.raises(ConnectFailed) as unknown:
        await opened(to=Endpoint("no-such-host.invalid", 6697, endpoint.tls))
    assert unknown.value.reason == "name not found"


async def test_a_server_that_never_finishes_tls_is_given_up(endpoint: Endpoint, opened: Opener) -> None:
    held: list[asyncio.StreamWriter] = []
    dumb = await asyncio.start_server(lambda _, writer: held.append(writer), "127.0.0.1", 0)
    port = dumb.sockets[0].getsockname()[1]
    with pytest.raises(ConnectFailed) as caught:
        await opened(Timing(connect_s=0.3), Endpoint(HOST, port, endpoint.tls))
    assert caught.value.reason == "timed out"
    dumb.close()
    for writer in held:
        writer.transport.abort()


async def test_a_server_that_never_welcomes_is_given_up(twitch: ScriptedTwitch, opened: Opener) -> None:
    twitch.welcome = False
    with pytest.raises(ConnectFailed) as caught:
        await opened(Timing(welcome_s=0.3))
    assert caught.value.reason == "no welcome"
    session = await twitch.session(0)
    await session.until(lambda one: one.ended)


async def test_a_refused_login_is_a_failure(twitch: ScriptedTwitch, opened: Opener) -> None:
    twitch.welcome = False
    connecting = asyncio.ensure_future(opened())
    session = await twitch.session(0)
    await session.until_received(b"NICK")
    session.say(b":tmi.twitch.tv NOTICE * :Login authentication failed")
    with pytest.raises(ConnectFailed) as caught:
        await connecting
    assert caught.value.reason == "login refused"


async def test_the_servers_ping_is_answered(twitch: ScriptedTwitch, opened: Opener) -> None:
    await opened()
    session = await twitch.session(0)
    session.say(b"PING :tmi.twitch.tv")
    await session.until_received(b"PONG :tmi.twitch.tv")


async def test_own_pings_keep_a_quiet_connection_heard(twitch: ScriptedTwitch, opened: Opener) -> None:
    one = await opened()
    session = await twitch.session(0)
    await session.until_received(b"PING :twzrd-", 5)
    assert one.it.alive and one.metrics.pongs_total >= 3
    assert one.metrics.pongs_wrong_total == 0


async def test_a_half_open_connection_ends_and_is_not_heard_beyond_its_last_byte(
    twitch: ScriptedTwitch, opened: Opener
) -> None:
    one = await opened()
    session = await twitch.session(0)
    await session.until_received(b"PING", 2)
    session.mute = True
    pings = sum(line.startswith(b"PING") for line in session.received)
    await session.until_received(b"PING", pings + 2)  # what was answered before has arrived by now
    received_ms = one.intake.received_ms[1]
    assert await one.end() == "silent"
    assert one.intake.received_ms[1] == received_ms


async def test_lines_that_go_on_without_pongs_end_nothing_but_are_told(twitch: ScriptedTwitch, opened: Opener) -> None:
    twitch.pong = lambda token: b":tmi.twitch.tv PONG tmi.twitch.tv :wrong"
    one = await opened()
    async with asyncio.timeout(PATIENCE_S):
        assert await one.listener.leave == "PINGs unanswered"
    assert one.it.alive
    assert one.metrics.pongs_total == 0 and one.metrics.pongs_wrong_total > 3


@pytest.mark.parametrize(
    ("how", "reasons"),
    [("cut", {"reset", "closed by the server"}), ("half_close", {"closed by the server", "reset", "TLS failed"})],
)
async def test_a_cut_and_a_half_close_end_it_at_once(
    twitch: ScriptedTwitch, opened: Opener, how: str, reasons: set[str]
) -> None:
    one = await opened(Timing(deadlines=Deadlines(silent_s=1000)))
    session = await twitch.session(0)
    getattr(session, how)()
    assert await one.end() in reasons


async def test_lines_split_at_any_byte_come_through_whole(twitch: ScriptedTwitch, opened: Opener, seed: int) -> None:
    chance = random.Random(seed)
    one = await opened()
    session = await twitch.session(0)
    data = b"".join(b":v!v@v PRIVMSG #a :line %d\r\n" % n for n in range(200))
    while data:
        size = chance.randrange(1, 40)
        session.raw(data[:size])
        await session.writer.drain()
        await asyncio.sleep(0)
        data = data[size:]
    await one.intake.until(lambda intake: len(intake.of("chat")) == 200)
    assert [told.login for told in one.intake.of("chat")] == [f"line {n}" for n in range(200)]


async def test_a_line_without_end_is_cut_and_the_next_is_read(twitch: ScriptedTwitch, opened: Opener) -> None:
    one = await opened()
    session = await twitch.session(0)
    endless = b":v!v@v PRIVMSG #a :" + b"x" * (40 * LINE_LIMIT) + b"\r\n"
    session.raw(endless)
    session.chat("a", "after")
    await one.intake.until(lambda intake: len(intake.of("chat")) == 2)
    cut, whole = one.intake.of("chat")
    assert len(cut.login) <= LINE_LIMIT and whole.login == "after"
    assert one.metrics.lines_over_limit_total == 1
    assert one.metrics.bytes_skipped_total == len(endless) - len(b"\n") - (LINE_LIMIT + 2)
    assert one.it.alive


async def test_hostile_control_lines_are_counted_and_end_nothing(twitch: ScriptedTwitch, opened: Opener) -> None:
    one = await opened()
    session = await twitch.session(0)
    session.say(
        b"", b" ", b"@", b"@a", b":", b":x", b"@" + b"a;" * 30_000 + b" PING :late",
        b"\xff\xfe\x00\x1b[2J", b"ROOMSTATE", b"NOTICE", b"PONG", b"JOIN", b":\xff JOIN #\xff", b"CAP", b"403",
    )  # fmt: skip
    session.say(b"PING :still there")
    await session.until_received(b"PONG :still there")
    assert b"PONG :late" in session.received
    assert one.metrics.control_lines_malformed_total >= 3
    assert one.it.alive


async def test_reconnect_is_told_and_nothing_ends_before(twitch: ScriptedTwitch, opened: Opener) -> None:
    one = await opened()
    session = await twitch.session(0)
    session.say(b":tmi.twitch.tv RECONNECT")
    async with asyncio.timeout(PATIENCE_S):
        assert await one.listener.leave == "RECONNECT"
    assert one.it.alive


async def test_closing_says_quit(twitch: ScriptedTwitch, opened: Opener) -> None:
    one = await opened()
    session = await twitch.session(0)
    one.it.close("stopped")
    assert await one.end() == "stopped"
    await session.until_received(b"QUIT")


async def test_a_server_that_asks_and_never_reads_is_ended(twitch: ScriptedTwitch, opened: Opener) -> None:
    """A flood of PINGs whose answers nobody takes is bounded by WRITE_LIMIT."""
    one = await opened(Timing(deadlines=Deadlines(ping_s=1000)))
    session = await twitch.session(0)
    session.writer.transport.pause_reading()  # type: ignore[attr-defined]
    question = b"PING :" + b"x" * 4_000 + b"\r\n"
    while not one.it.ended.done():
        session.raw(question * 50)
        await asyncio.sleep(0)
    assert await one.end() == "does not read us"
