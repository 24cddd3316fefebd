"""A read that holds the end of a channel and lines behind it: claimed is what stood before. The real Intake, a real
connection (without a socket) and the real reconciler, in a time of the test's own."""

import random
from typing import Any

import pytest

from streams.collect.irc import Message
from streams.collect.live import intake as intake_module
from streams.collect.live import lines as lines_module
from streams.collect.live.connection import Connection, Timing
from tests.live import T0_MS, Sink, chat, intake_into
from tests.reconciler_world import World

PART = ":{nick}!{nick}@{nick}.tmi.twitch.tv PART #chan"
KICK = ":tmi.twitch.tv KICK #chan {nick} :out"
SUSPENDED = "@msg-id=msg_channel_suspended :tmi.twitch.tv NOTICE #chan :This channel has been suspended."
NUMERIC = ":tmi.twitch.tv 403 {nick} #chan :No such channel"


class Read(World):
    """`chan` and `beside` (rooms 22, 33) are heard on one connection, whose reads the test gives; on their way for
    20 ms. Claims of both go up to 4 s at first."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.sink = Sink()
        self.live = intake_into(self.sink)
        self.intake: Any = self.live
        self.roster.intake = self.live
        self.at_ms = T0_MS - 500
        listener: Any = self
        self.connection = Connection(
            1, self.live, listener, self.metrics, random.Random(seed), Timing(), clock_ms=lambda: self.at_ms
        )
        self.connection.welcomed.set_result(None)
        self.lines: list[Any] = [self.connection]
        self.want("chan", "beside")
        self.read(-500, b"@room-id=22 :t ROOMSTATE #chan\r\n@room-id=33 :t ROOMSTATE #beside\r\n")
        self.read(5_000, chat(T0_MS + 5_000) + self.beside(5_000))

    def said(self, connection: Connection, message: Message, at_ms: int) -> None:
        """Of the connection."""
        self.it.said(connection, message, at_ms)

    def read(self, newest_ms: int, data: bytes) -> None:
        """One read whose newest line is stamped so, and a flush."""
        self.at_ms = T0_MS + newest_ms + 20
        self.connection.data_received(data)
        self.live.flush(self.at_ms)

    def beside(self, *stamps_ms: int) -> bytes:
        return b"".join(chat(T0_MS + ms, room=33, channel="beside") for ms in stamps_ms)

    def ending(self, line: str) -> bytes:
        return line.format(nick=self.connection.nick.decode()).encode() + b"\r\n"

    def told(self, room: int = 22) -> list[tuple[int, int]]:
        """What is claimed, to the end."""
        self.live.flush(self.at_ms + 60_000)
        return self.sink.said(channel=f"twitch:id:{room}")


@pytest.fixture(params=[1, 10**9], ids=["by columns", "line by line"], autouse=True)
def columns_from(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "COLUMNS_FROM_LINES", request.param)


@pytest.fixture
async def world(seed: int) -> Read:
    return Read(seed)


@pytest.mark.parametrize("line", [PART, KICK, SUSPENDED, NUMERIC])
async def test_a_channel_is_claimed_up_to_what_stood_before_its_end(world: Read, line: str) -> None:
    world.read(10_000, world.beside(6_000, 6_300) + world.ending(line) + world.beside(7_000, 8_000, 10_000))
    world.read(20_000, world.beside(20_000))
    assert world.told() == [(0, 5_300)]
    assert world.told(33) == [(0, 19_000)]


async def test_each_of_two_ends_in_a_read_counts_where_it_stands(world: Read) -> None:
    other = world.ending(PART).replace(b"#chan", b"#beside")
    world.read(10_000, world.beside(6_000) + world.ending(PART) + world.beside(9_000) + other)
    assert (world.told(), world.told(33)) == ([(0, 5_000)], [(0, 8_000)])


async def test_an_end_at_the_head_of_a_backlog_is_not_proved_by_bytes_that_its_lines_belie(world: Read) -> None:
    """A PONG after 20 s, and 1.1 s later, before the next flush, a read that begins with the end of the channel."""
    world.at_ms = T0_MS + 25_000
    world.connection.data_received(b":tmi.twitch.tv PONG tmi.twitch.tv :x\r\n")
    world.at_ms += 1_100
    world.connection.data_received(world.ending(PART) + world.beside(6_000))
    world.live.flush(world.at_ms)
    assert world.told() == [(0, 4_000)]


async def test_a_read_beyond_the_bound_of_what_waits_is_flushed_after_its_ends_were_acted_on(
    world: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "MAX_PENDING", 3)
    world.read(10_000, world.beside(6_000) + world.ending(PART) + world.beside(7_000, 8_000, 10_000))
    assert world.told() == [(0, 5_000)]


async def test_a_channel_joined_in_the_middle_of_a_read_is_heard_from_its_arrival(world: Read) -> None:
    world.want("chan", "beside", "third")
    joined = b"@room-id=44 :t ROOMSTATE #third\r\n"
    world.read(10_000, world.beside(6_000) + joined + world.beside(10_000))
    world.read(12_000, world.beside(12_000))
    assert world.told(44) == [(10_500, 11_000)]
