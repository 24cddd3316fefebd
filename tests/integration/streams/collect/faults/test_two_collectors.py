"""Two collector processes on the same channels of one local Twitch, onto one Postgres log, with faults that differ.

What both heard is on the log twice and counts once; what one missed the other has; there is one set of seals, the same
as if every event had come once. A channel of which nobody says anything, as some seeds have it, has its seal, too: it
was observed.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np
import pytest

from infra.postgres import EmbeddedPostgres
from schemas.columns import LAST_FOLDED_KIND
from schemas.envelope import CoverageKind, Envelope, decode, encode
from schemas.policy import DEFAULT_POLICY
from schemas.sealed import SealedEpoch
from streams.collect.cutting import Cutter
from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import Pace, Session, SimOptions, SimulatedFeed, TwitchSim
from streams.log.port import CHAT_EVENTS, LogRecord
from streams.log.postgres import PostgresLog
from tests.integration.streams.collect.faults import verdict
from tests.integration.streams.collect.faults.trial import JOIN_LIMIT, PATIENCE_S, START_MS, started
from tests.integration.streams.collect.faults.verdict import Intervals, Kept, Told
from tests.live import sealed_of

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

CHANNELS, RATE_PER_S = 12, 400.0
EDGE_MS = 5_000
"""What every claim keeps off the beginning and the end, and a bit."""
ENDED_SEQ = 10**6
PATIENT = msgspec.structs.replace(DEFAULT_POLICY, grace_s=3_600)
"""Only the ends close an hour, so that it makes no difference in which minutes of one the test runs, and how slowly."""
NAMES = ("first", "second")


@dataclass
class OnTheLog:
    """One channel. by_source: what each producer session claimed live; events: (id, at) of each, doubles once; folded:
    ids of those that seals count, doubles twice."""

    by_source: dict[str, Intervals] = field(default_factory=lambda: defaultdict(list))
    events: set[tuple[bytes, int]] = field(default_factory=set)
    folded: list[bytes] = field(default_factory=list)


async def test_two_collectors_make_one_set_of_seals_and_cover_more_than_either_alone(tmp_path: Path, seed: int) -> None:
    simulation = Simulation(seed, CHANNELS, RATE_PER_S)
    identities = [simulation.channel(number) for number in range(CHANNELS)]
    logins = dict(identities)
    (tmp_path / "channels").write_text("\n".join(logins.values()))
    options = SimOptions(pace=Pace(), seed=seed, wait_joins=2 * CHANNELS, join_limit=JOIN_LIMIT)
    postgres = EmbeddedPostgres(tmp_path / "pg", durable=False)
    twitch = TwitchSim(SimulatedFeed(simulation, START_MS), options)
    try:
        dsn = await asyncio.to_thread(postgres.start)
        async with twitch, collectors(tmp_path, twitch, dsn) as two:
            (first,), (second,) = two
            began_ms = time.time_ns() // 1_000_000
            await heard_for(twitch, 4_000)
            # The first goes half-open and finds out by itself; the second hears on, and is cut when both hear again.
            twitch.misbehave.silence(first)
            await until(lambda: first not in twitch.sessions and all_joined(twitch) == 2)
            await heard_for(twitch, 1_500)
            twitch.misbehave.cut(second)
            await until(lambda: second not in twitch.sessions and all_joined(twitch) == 2)
            await heard_for(twitch, 4_000)
            span = began_ms + EDGE_MS, time.time_ns() // 1_000_000 - EDGE_MS
        partitions = await records(dsn)
    finally:
        await asyncio.to_thread(postgres.stop)

    kept = gathered(partitions, logins)
    told = told_by(twitch, list(logins.values()))
    assert set(kept) == set(logins.values())
    for login, one in kept.items():
        alone = [verdict.covered_ms(verdict.union(live), span) for live in one.by_source.values()]
        together = verdict.covered_ms(live_of(one), span)
        assert len(alone) == 2 and together > max(alone), f"#{login}: {alone}, {together} of {span[1] - span[0]} ms"
        assert together == span[1] - span[0], f"#{login}: their faults never met, so nothing may be missing"
    found = verdict.judge(
        told, {login: Kept(one.events, live_of(one)) for login, one in kept.items()}, span, dict.fromkeys(told, 0)
    )
    assert not found.faults, "\n".join(found.faults)

    seals: dict[tuple[str, int], SealedEpoch] = {}
    for of_partition in partitions:
        said = envelopes(of_partition)
        seals.update(sealed_of([*(record.value for record in of_partition), *ends(said)], PATIENT))
    once = sealed_of(each_once([one for of_partition in partitions for one in envelopes(of_partition)]), PATIENT)
    assert {channel for channel, _ in seals} == set(logins), "of every channel, whether anything was said there or not"
    assert {key: facts(one) for key, one in seals.items()} == {key: facts(one) for key, one in once.items()}
    folded = {one for channel in kept.values() for one in channel.folded}
    doubles = sum(len(one.folded) for one in kept.values()) - len(folded)
    stats = [(one.stats.events, one.stats.duplicates, one.stats.conflicts) for one in seals.values()]
    assert [sum(column) for column in zip(*stats, strict=True)] == [len(folded), doubles, 0]
    assert doubles > 0.2 * len(folded) > 1_000, "much of it came twice"


# ---- running ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def collectors(folder: Path, twitch: TwitchSim, dsn: str) -> AsyncIterator[list[list[Session]]]:
    """Both, and each one's connections; at the end they are stopped in order, and have sent what they had."""
    (folder / "ca.pem").write_bytes(twitch.ca_pem)
    running: list[asyncio.subprocess.Process] = []
    sessions: list[list[Session]] = []
    try:
        for name in NAMES:
            running.append(await started(folder, twitch, dsn, name=name))
            await until(lambda: all_joined(twitch) == len(running))
            sessions.append([one for one in twitch.sessions if not any(one in others for others in sessions)])
        yield sessions
        for one in running:
            assert one.returncode is None, (folder / "collector.log").read_text()[-2_000:]
            one.terminate()
        async with asyncio.timeout(PATIENCE_S):
            assert [await one.wait() for one in running] == [0, 0], (folder / "collector.log").read_text()[-2_000:]
    finally:
        for one in running:
            if one.returncode is None:
                one.kill()
                await one.wait()


def all_joined(twitch: TwitchSim) -> int:
    """How many connections hear every channel."""
    return sum(
        len(one.logins()) == CHANNELS and not one.outlet.silent and not one.wire.ending for one in twitch.sessions
    )


async def heard_for(twitch: TwitchSim, lines: int) -> None:
    """Until so many more lines were said."""
    enough = twitch.lines_said + lines
    await until(lambda: twitch.lines_said >= enough)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - the local Twitch does not tell
            await asyncio.sleep(0.02)


# ---- what is on the log ----------------------------------------------------------------------------------------------


async def records(dsn: str) -> list[list[LogRecord]]:
    """Of chat.events, by partition."""
    log = PostgresLog(dsn)
    await log.open()
    try:
        found: list[list[LogRecord]] = [[] for _ in range(await log.partitions(CHAT_EVENTS))]
        for partition, held in enumerate(found):
            at, end = await log.span(CHAT_EVENTS, partition)
            while at < end:
                held += await log.read(CHAT_EVENTS, partition, at)
                at = held[-1].offset + 1
        return found
    finally:
        await log.close()


def envelopes(of_partition: list[LogRecord]) -> list[Envelope]:
    return [decode(record.value) for record in of_partition]


def gathered(partitions: list[list[LogRecord]], logins: dict[str, str]) -> dict[str, OnTheLog]:
    """By login."""
    kept: dict[str, OnTheLog] = defaultdict(OnTheLog)
    for one in (one for of_partition in partitions for one in envelopes(of_partition)):
        channel, events = kept[logins[one.channel]], one.columns()
        if one.observed is not None and one.observed[2] == "live":
            channel.by_source[one.source].append(one.observed[:2])
        channel.folded += [row.tobytes() for row in events.ids[events.kind <= LAST_FOLDED_KIND]]
        channel.events.update(zip((row.tobytes() for row in events.ids), events.at.tolist(), strict=True))
    return kept


def live_of(one: OnTheLog) -> Intervals:
    """What anybody claimed."""
    return verdict.union([stretch for live in one.by_source.values() for stretch in live])


def told_by(twitch: TwitchSim, logins: list[str]) -> dict[str, Told]:
    """By login what the server said, heard or not."""
    table = twitch.ledger.table()
    rows = [table[table["channel"] == number] for number in range(len(logins))]
    return {login: Told(of_login["id"], of_login["at_ms"]) for login, of_login in zip(logins, rows, strict=True)}


# ---- seals -----------------------------------------------------------------------------------------------------------


def ends(said: list[Envelope]) -> list[bytes]:
    """Records that close what is open, so that it need not be waited for."""
    last = {one.channel: one.login for one in said}
    return [encode("end", channel, login, "test", ENDED_SEQ) for channel, login in last.items()]


def each_once(said: list[Envelope]) -> list[bytes]:
    """The same as one producer would have written it that heard each event once, and observed what anybody did."""
    cutter, seen, values = Cutter("once"), set[tuple[str, bytes]](), []
    observed: dict[tuple[str, CoverageKind], Intervals] = defaultdict(list)
    for one in said:
        events = one.columns()
        new = []
        for row, raw in enumerate(events.ids):
            if (one.channel, raw.tobytes()) not in seen:
                seen.add((one.channel, raw.tobytes()))
                new.append(row)
        if new:
            values += [ready.value for ready in cutter.add(one.channel, one.login, events.take(np.array(new, np.intp)))]
        if one.observed is not None:
            observed[one.channel, one.observed[2]].append(one.observed[:2])
    values += [ready.value for ready in cutter.rest()]
    logins = {one.channel: one.login for one in said}
    for (channel, kind), intervals in observed.items():
        for seq, (start, end) in enumerate(verdict.union(intervals)):
            values.append(encode("tick", channel, logins[channel], f"once {kind}", seq, (start, end, kind)))
    return [*values, *ends(said)]


def facts(one: SealedEpoch) -> tuple[object, ...]:
    """All that a seal says, by its header and its coverage, and how many events it counts."""
    return one.header.encode(), tuple(one.coverage), one.stats.events
