"""GET /v1/stream: seals in order, none lost and none doubled over any cut; bounded clients; boards; heartbeats."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import asyncpg
import pytest

from claim_api.config import Bounds
from projections.live import LiveProjection
from projections.runner import ProjectionRunner, connector
from schemas.envelope import encode
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.log.port import CHAT_EVENTS, Append
from tests.hours import CHANNEL, HOUR_S, T0_S, sealed_hour, viewers_of
from tests.logs import Event, events_of


class Reader:
    """Reads one event stream."""

    def __init__(self, response: Any) -> None:
        self._lines = response.content

    async def block(self) -> dict[str, str]:
        """The next block of lines: an event, a comment (under ":"), or a retry. Empty at the end."""
        found: dict[str, str] = {}
        while line := (await self._lines.readline()).decode():
            if line == "\n":
                return found
            name, _, value = line.rstrip("\n").partition(":")
            found[name or ":"] = value.removeprefix(" ")
        return found

    async def event(self, kind: str = "seal") -> tuple[int, dict[str, Any]]:
        """The next event of that kind: its id (0 where it has none) and its data."""
        async with asyncio.timeout(20):
            while block := await self.block():
                if block.get("event") == kind:
                    return int(block.get("id", 0)), json.loads(block["data"])
        raise EOFError("the stream ended")

    async def started(self) -> None:
        assert "retry" in await self.block()


@contextlib.asynccontextmanager
async def stream(api: Any, query: str = "", **more: Any) -> AsyncIterator[Reader]:
    async with api.session.get(f"{api.base}/v1/stream{query}", **more) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        reader = Reader(response)
        await reader.started()
        yield reader


def hours(first: int, count: int, channel: str = CHANNEL) -> list[Any]:
    return [
        sealed_hour(viewers_of(2), epoch_start_s=T0_S + number * HOUR_S, channel=channel)
        for number in range(first, first + count)
    ]


async def test_a_stream_without_an_id_begins_with_what_comes_next(api: Any, world: Any) -> None:
    await world.apply(*hours(0, 3))
    await api.until_sealed(T0_S + 2 * HOUR_S)
    async with stream(api) as reader:
        await world.apply(*hours(3, 1))
        _, seal = await reader.event()
        assert (seal["channel"], seal["epoch_start_s"], seal["leaf_count"]) == (CHANNEL, T0_S + 3 * HOUR_S, 2)
        assert seal["total_weight_centi"].isdigit()


async def test_seals_over_many_cuts_come_each_once_and_in_order(api: Any, world: Any) -> None:
    seen: list[tuple[int, int]] = []

    async def read(reader: Reader, count: int) -> None:
        for _ in range(count):
            number, seal = await reader.event()
            seen.append((number, seal["epoch_start_s"]))

    await world.apply(*hours(0, 4))
    for cut in range(6):
        headers = {"Last-Event-ID": str(seen[-1][0]) if seen else "0"}
        async with stream(api, headers=headers) as reader:
            await read(reader, 2)
            # Some come while it reads, some while nobody does.
            await world.apply(*hours(4 + 4 * cut, 2))
            await read(reader, 2)
        await world.apply(*hours(6 + 4 * cut, 2))
    async with stream(api, headers={"Last-Event-ID": str(seen[-1][0])}) as reader:
        await read(reader, 28 - len(seen))
    assert [start for _, start in seen] == [T0_S + number * HOUR_S for number in range(28)]
    assert [number for number, _ in seen] == sorted({number for number, _ in seen})


@pytest.mark.parametrize("after", [3, 12])
async def test_a_client_far_behind_is_served_from_the_database_and_then_from_memory(
    serve: Any, world: Any, after: int
) -> None:
    await world.apply(*hours(0, 10))
    async with serve(bounds=Bounds(stream_kept_seals=2)) as api:
        await api.until_sealed(T0_S + 9 * HOUR_S)
        await world.apply(*hours(10, 10))
        await api.until_sealed(T0_S + 19 * HOUR_S)
        async with stream(api, f"?after={after}") as reader:
            found = [(await reader.event())[1]["epoch_start_s"] for _ in range(20 - after)]
            await world.apply(*hours(20, 1))
            found.append((await reader.event())[1]["epoch_start_s"])
    assert found == [T0_S + number * HOUR_S for number in range(after, 21)]


async def test_a_filtered_stream_has_its_channels_seals_only(api: Any, world: Any) -> None:
    await world.apply(*hours(0, 1, "twitch:id:7"), *hours(0, 2), *hours(1, 1, "twitch:id:7"))
    async with stream(api, "?channel=twitch:id:7&after=0") as reader:
        await world.apply(*hours(2, 1), *hours(2, 1, "twitch:id:7"))
        found = [(await reader.event())[1] for _ in range(3)]
    assert [one["channel"] for one in found] == ["twitch:id:7"] * 3
    assert [one["epoch_start_s"] for one in found] == [T0_S, T0_S + HOUR_S, T0_S + 2 * HOUR_S]


async def test_an_id_from_another_database_begins_now(api: Any, world: Any) -> None:
    await world.apply(*hours(0, 2))
    await api.until_sealed(T0_S + HOUR_S)
    async with stream(api, headers={"Last-Event-ID": "999999"}) as reader:
        await world.apply(*hours(2, 1))
        assert (await reader.event())[1]["epoch_start_s"] == T0_S + 2 * HOUR_S


async def test_a_stream_goes_on_over_a_lost_database_connection(serve: Any, world: Any, pg_dsn: str) -> None:
    await world.apply(*hours(0, 1))
    async with serve(refresh_ms=20) as api, stream(api, "?after=0") as reader:
        await reader.event()
        connection = await asyncpg.connect(pg_dsn)
        await connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'twzrd api'"
        )
        await connection.close()
        await world.apply(*hours(1, 2))
        assert (await reader.event())[1]["epoch_start_s"] == T0_S + HOUR_S
        assert (await reader.event())[1]["epoch_start_s"] == T0_S + 2 * HOUR_S


async def test_a_quiet_stream_beats(serve: Any, world: Any) -> None:
    async with serve(heartbeat_s=0.05) as api, stream(api) as reader:
        assert await reader.block() == {":": "heartbeat"}


async def test_a_stream_of_a_quiet_channel_beats_while_others_are_busy(serve: Any, world: Any, pg_dsn: str) -> None:
    """A proxy in between cuts what says nothing, however much is said to others."""
    await world.apply(*hours(0, 1), *hours(0, 1, "twitch:id:7"))
    live = LiveProjection(PolicySchedule.of(DEFAULT_POLICY), world.metrics)
    done = asyncio.Event()

    async def chatter() -> None:
        seq = 0
        while not done.is_set():
            events = events_of([Event(T0_S * 1000 + 1000 + seq, seq)])
            start_ms = T0_S * 1000
            value = encode("events", CHANNEL, "forsen", "s", seq, (start_ms, start_ms + 5000 + seq, "live"), events)
            await world.log.append(CHAT_EVENTS, [Append(0, b"k", value)])
            await ProjectionRunner(world.log, live, connector(pg_dsn), world.metrics).catch_up()
            seq += 1

    async with serve(heartbeat_s=0.5, refresh_ms=10) as api, stream(api, "?channel=twitch:id:7") as reader:
        busy = asyncio.create_task(chatter())
        async with stream(api) as other:
            for _ in range(5):
                await other.event("board")
            async with asyncio.timeout(10):
                assert await reader.block() == {":": "heartbeat"}
            done.set()
        await busy


async def test_boards_of_open_hours_come_in_their_newest_state(serve: Any, world: Any, pg_dsn: str) -> None:
    live = LiveProjection(PolicySchedule.of(DEFAULT_POLICY), world.metrics)
    start_ms = T0_S * 1000

    async def say(seq: int, *ids: int) -> None:
        events = events_of([Event(start_ms + 1000 + number, number) for number in ids])
        value = encode("events", CHANNEL, "forsen", "s", seq, (start_ms, start_ms + 5000 + seq, "live"), events)
        await world.log.append(CHAT_EVENTS, [Append(0, b"k", value)])
        await ProjectionRunner(world.log, live, connector(pg_dsn), world.metrics).catch_up()

    async with serve(refresh_ms=20) as api, stream(api) as reader:
        await say(0, 1, 2)
        while (board := (await reader.event("board"))[1])["messages"] < 2:
            pass
        assert (board["channel"], board["epoch_start_s"]) == (CHANNEL, T0_S)
        assert board["weight_centi"].isdigit()
        await say(1, 3, 4, 5)
        while (board := (await reader.event("board"))[1])["messages"] < 5:
            pass
        assert board["participants"] == 1
        assert set(board["top"][0]) == {"login", "messages", "weight_centi"}


async def test_one_client_more_than_the_bound_is_refused_and_let_in_when_another_leaves(serve: Any, world: Any) -> None:
    async with serve(bounds=Bounds(stream_clients=2)) as api:
        async with stream(api), stream(api):
            error = await api.get("/v1/stream", status=429)
            assert error["code"] == "too_many_streams"
        # The server learns of a closed connection in its own time.
        async with asyncio.timeout(10):
            while (await api.raw("/v1/stream", "HEAD"))[0] == 429:
                pass


async def test_a_stream_ends_when_the_server_stops(serve: Any, world: Any) -> None:
    server = contextlib.AsyncExitStack()
    api = await server.enter_async_context(serve())
    async with aiohttp.ClientSession() as session, session.get(api.base + "/v1/stream") as response:
        reader = Reader(response)
        await reader.started()
        stopping = asyncio.create_task(server.aclose())
        assert await reader.block() == {}
        await stopping


@pytest.mark.parametrize(
    ("query", "status"),
    [("?after=x", 400), ("?after=-1", 400), ("?channel=nobody", 404), ("?channels=a", 400), ("?after=1&after=2", 400)],
)
async def test_a_stream_of_another_form_is_refused(api: Any, query: str, status: int) -> None:
    assert (await api.get("/v1/stream" + query, status=status))["mend"]
