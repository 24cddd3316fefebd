"""Simulated chat: the same everywhere, readable by our own reader, and the same events in both renderings."""

import hashlib
import itertools
from collections import Counter

import numpy as np
import pytest

from schemas.columns import BAN, DELETION, GIFT, MESSAGE, NOTICE, RAID, RESUB, SUB, EventColumns
from schemas.envelope import decode
from schemas.parts import SealAssembler
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from schemas.sealed import SealedEpoch, decode_record
from streams.collect.cutting import Cutter
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.irc import parse_line
from streams.collect.simulation import Envelopes, LineWriter, Simulation, chat
from streams.collect.simulation.people import ANONYMOUS, channel_login, person
from streams.collect.twitch import SHARED_CHAT_COPIES, Event, derived_id, read_line
from streams.core.outputs import Output
from streams.core.shard import Shard
from tests.logs import PEPPER

START_MS = 1_767_225_600_000
HOUR_MS = 3_600_000
GOLDEN_LINES = "4300c0ed77b39cd4e1cbde4c6da2fc2d78d2613b0cb57eaf9437add64a2cb702"
GOLDEN_ENVELOPES = "662ee8adf3ad12d27b350f7a031b563c4b1031e2195e9543b7a127de119eb2d6"


def event_id_of(line: bytes) -> bytes:
    return derived_id(line[:-2], 0)


Row = tuple[str, int, bytes, int, str, str, int]


def text_of(simulation: Simulation, end_ms: int) -> bytes:
    writer = LineWriter(simulation)
    return b"".join(line for step in simulation.run(START_MS, end_ms) for line in writer.lines(step))


def rows_of(channel: str, events: EventColumns) -> list[Row]:
    return [
        (channel, at, bytes(event_id), kind, *events.viewers[who], amount)
        for at, event_id, kind, who, amount in zip(
            events.at.tolist(),
            events.ids,
            events.kind.tolist(),
            events.who.tolist(),
            events.amount.tolist(),
            strict=True,
        )
    ]


def seals(values: list[bytes]) -> dict[tuple[str, int], SealedEpoch]:
    shard, assembler = Shard(PolicySchedule.of(DEFAULT_POLICY), PEPPER, 0), SealAssembler()
    out: dict[tuple[str, int], SealedEpoch] = {}
    for offset, value in enumerate(values):
        for output in shard.feed(offset, value):
            assert isinstance(output, Output)
            for _, record in output.records:
                sealed = assembler.feed(decode_record(record))
                if isinstance(sealed, SealedEpoch):
                    out[sealed.header.channel, sealed.header.epoch_start_s] = sealed
    return out


def test_the_same_seed_and_arguments_give_the_same_bytes_on_every_machine() -> None:
    simulation = Simulation(7, channels=8, rate_per_s=40)
    lines = text_of(simulation, START_MS + HOUR_MS // 4)
    assert hashlib.sha256(lines).hexdigest() == GOLDEN_LINES
    envelopes = Envelopes(simulation, START_MS).run(START_MS, START_MS + HOUR_MS // 4)
    assert hashlib.sha256(b"".join(one.key + one.value for one in envelopes)).hexdigest() == GOLDEN_ENVELOPES


def test_another_seed_another_chat() -> None:
    assert text_of(Simulation(1), START_MS + 60_000) != text_of(Simulation(2), START_MS + 60_000)


def test_every_line_is_read_and_gives_the_event_that_its_envelope_bears() -> None:
    simulation = Simulation(11, channels=8, rate_per_s=60)
    end_ms = START_MS + HOUR_MS // 2
    writer, envelopes = LineWriter(simulation), Envelopes(simulation, START_MS)
    for step in simulation.run(START_MS, end_ms):
        expected: Counter[Row] = Counter()
        for line in writer.lines(step):
            assert line.endswith(b"\r\n")
            event = read_line(line[:-2])
            if isinstance(event, Event):
                row = event._replace(id=event.id or event_id_of(line))
                # Twitch leaves a deletion's room empty: the envelope's channel is who said the line.
                channel = row.channel if row.kind != DELETION else "by its login"
                expected[(channel, row.at_ms, row.id or b"", row.kind, row.viewer, row.login, row.amount)] += 1
        actual: Counter[Row] = Counter()
        for index, events in envelopes.events(step).items():
            for row_ in rows_of(simulation.channel(index)[0], events):
                actual[row_ if row_[3] != DELETION else ("by its login", *row_[1:])] += 1
        assert actual == expected


def test_lines_and_envelopes_seal_to_the_same_roots() -> None:
    simulation = Simulation(13, channels=6, rate_per_s=20)
    end_ms = START_MS + HOUR_MS + 240_000
    chunk = parse_irc_chunk(text_of(simulation, end_ms))
    assert not chunk.dead
    assert chunk.counts[SHARED_CHAT_COPIES] > 0
    cutter = Cutter("file")
    from_lines = [
        one.value for name, (login, events) in chunk.channels.items() for one in cutter.add(name, login, events)
    ]
    from_lines += [one.value for one in (*cutter.rest(), *cutter.ends())]
    sent = [one.value for one in Envelopes(simulation, START_MS).run(START_MS, end_ms)]
    first_hour = START_MS // 1000
    a, b = seals(from_lines), seals(sent)
    for index in range(simulation.channels):
        key = (simulation.channel(index)[0], first_hour)
        assert a[key].header.root == b[key].header.root
        assert a[key].header.input_digest == b[key].header.input_digest
        assert a[key].header.total_messages == b[key].header.total_messages > 0


def test_the_shapes_of_real_chat_are_there() -> None:
    simulation = Simulation(17, channels=8, rate_per_s=100)
    steps = list(simulation.run(START_MS, START_MS + HOUR_MS))
    kinds = Counter(np.concatenate([step.kind for step in steps]).tolist())
    assert set(kinds) == set(range(chat.COPY + 1)), "every kind of line occurs"
    own = [step.take(np.flatnonzero(step.kind != chat.COPY)) for step in steps]
    per_channel = np.bincount(np.concatenate([step.channel for step in own]), minlength=8)
    assert per_channel[0] > 4 * per_channel[7] > 0, "channels are of very different size"
    assert sum(per_channel) == pytest.approx(360_000, rel=0.25), "the rate is the mean of all together"
    # One channel's lines as they come, without those that come again.
    late: list[int] = []
    seen: set[bytes] = set()
    again = 0
    for step in own:
        for at, arrival, who in zip(step.at.tolist(), step.arrival.tolist(), step.ids, strict=True):
            if bytes(who) in seen:
                again += 1
                continue
            seen.add(bytes(who))
            late.append(arrival - at)
    assert again > 0, "a reconnect brings lines again"
    assert 0.08 < sum(ms > 0 for ms in late) / len(late) < 0.2
    assert 300 < max(late) <= chat.DISORDER_MS
    minutes = np.bincount(np.concatenate([s.arrival[s.channel == 0] for s in own]) // 60_000 - START_MS // 60_000)
    assert minutes.max() > 3 * np.median(minutes), "bursts"
    assert minutes.min() < np.median(minutes) / 3, "silence"


def test_a_gift_bomb_is_followed_by_its_gifts_and_may_be_anonymous() -> None:
    simulation = Simulation(19, channels=2, rate_per_s=5)
    found = anonymous = 0
    for step in simulation.run(START_MS, START_MS + 12 * HOUR_MS):
        for row in np.flatnonzero(step.kind == chat.GIFT_BOMB).tolist():
            gifts = (step.kind == chat.GIFT) & (step.who == step.who[row]) & (step.channel == step.channel[row])
            assert len(np.unique(step.ids[gifts], axis=0)) >= step.amount[row]
            found += 1
            anonymous += int(step.who[row]) == ANONYMOUS
    assert found > anonymous > 0


def test_the_events_of_both_kinds_of_time_out_subs_and_raids_are_those_of_the_rules() -> None:
    simulation = Simulation(23, channels=3, rate_per_s=200)
    envelopes = Envelopes(simulation, START_MS)
    kinds: Counter[int] = Counter()
    for step in simulation.run(START_MS, START_MS + HOUR_MS // 2):
        for events in envelopes.events(step).values():
            kinds.update(events.kind.tolist())
    assert set(kinds) == {MESSAGE, SUB, RESUB, GIFT, RAID, NOTICE, BAN, DELETION}


def test_a_hole_is_declared_absent_and_its_lines_are_not_in_the_envelopes() -> None:
    simulation = Simulation(29, channels=2, rate_per_s=20)
    hole = (START_MS + 60_000, START_MS + 120_000)
    observed = []
    for one in Envelopes(simulation, START_MS, {1: hole}).run(START_MS, START_MS + 180_000):
        envelope = decode(one.value)
        if envelope.login != channel_login(1):
            continue
        if envelope.observed is not None:
            observed.append(envelope.observed)
        arrived = envelope.columns().at if one.events else np.empty(0)
        assert not ((arrived >= hole[0]) & (arrived < hole[1] - chat.DISORDER_MS)).any()
    assert [one for one in observed if one[2] == "absent"] == [(*hole, "absent")]
    covered = sorted((start, end) for start, end, _ in observed)
    assert covered[0][0] == START_MS
    assert covered[-1][1] == START_MS + 180_000
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(covered))


def test_logins_are_logins_and_nobody_shares_one() -> None:
    people = [person(number) for number in range(ANONYMOUS + 1)]
    assert len({one.login for one in people}) == len({one.user_id for one in people}) == len(people)
    assert all(one.login.replace("_", "").isalnum() and one.login.isascii() and len(one.login) <= 25 for one in people)


def test_tags_come_in_many_orders() -> None:
    orders = set()
    for line in text_of(Simulation(31), START_MS + 120_000).split(b"\r\n")[:-1]:
        orders.add(tuple(parse_line(line).tags))
    assert len(orders) > 100


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"channels": 0}, "channels is 0"), ({"rate_per_s": 0}, "rate is 0"), ({"seed": -1}, "seed is -1")],
)
def test_arguments_out_of_range_are_named(arguments: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Simulation(**({"seed": 1} | arguments))
