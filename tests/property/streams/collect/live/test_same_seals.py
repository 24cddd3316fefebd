"""What chat seals to does not depend on how it was collected: live, by one collector or two, or from a file."""

import random
import re
from itertools import pairwise
from pathlib import Path

from schemas.envelope import encode
from schemas.sealed import SealedEpoch
from streams.collect.cutting import Cutter
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.live.framing import LineBuffer
from tests.live import T0_MS, Sink, chat, intake_into, sealed_of

STAMP = re.compile(rb"tmi-sent-ts=(\d{13})")


def replayed(data: bytes) -> dict[tuple[str, int], SealedEpoch]:
    """As `twzrd load` and the fold do it: nothing observed, closed by the end."""
    cutter = Cutter("file")
    values = []
    for channel, (login, events) in parse_irc_chunk(data).channels.items():
        values += [ready.value for ready in cutter.add(channel, login, events)]
    values += [ready.value for ready in cutter.rest()] + [ready.value for ready in cutter.ends()]
    return sealed_of(values)


def collected(data: bytes, login: str, room: str, seed: int) -> list[bytes]:
    """As a collector does it, over a socket that splits anywhere, at the pace of the capture's own stamps."""
    chance = random.Random(seed)
    sink = Sink()
    intake = intake_into(sink)
    buffer = LineBuffer()
    stamps = [int(found) for found in STAMP.findall(data)]
    first_ms, now_ms = min(stamps), min(stamps)
    intake.observing(login, room, 1, first_ms - 1_000)
    at = 0
    while at < len(data):
        size = chance.choice((1, 90, 700, 5_000, 400_000))
        lines = buffer.feed(data[at : at + size])
        at += size
        arrived = [int(found) for found in STAMP.findall(lines)]
        now_ms = max([now_ms, *(stamp + chance.randrange(20, 60) for stamp in arrived)])
        intake.received(1, lines, now_ms)
        if chance.random() < 0.3:
            intake.flush(now_ms)
    intake.received(1, buffer.feed(b"\n"), now_ms)
    intake.flush(now_ms)
    return [*sink.values, encode("end", f"twitch:id:{room}", login, "s", 10**6)]


def facts(seals: dict[tuple[str, int], SealedEpoch]) -> dict[tuple[str, int], tuple[object, ...]]:
    """All that a seal says but what was observed."""
    return {
        key: (
            one.header.root,
            one.header.leaf_count,
            one.header.total_messages,
            one.header.total_weight_centi,
            one.header.input_digest,
            one.stats.events,
        )
        for key, one in seals.items()
    }


def test_the_same_capture_collected_live_and_replayed_seals_the_same_and_says_what_was_observed(
    shared_dir: Path, seed: int
) -> None:
    for name, login, room in (
        ("data/forsen_2023-06-02.irc", "forsen", "22484632"),
        ("vectors/seals/kinds_400.irc", None, None),
    ):
        data = (shared_dir / name).read_bytes()
        if not data.endswith(b"\n"):
            data += b"\r\n"
        channels = parse_irc_chunk(data).channels
        from_file = replayed(data)
        if login is None or room is None:
            live: dict[tuple[str, int], SealedEpoch] = {}
            for channel, (its_login, _) in channels.items():
                if channel.startswith("twitch:id:"):
                    values = collected(data, its_login, channel.removeprefix("twitch:id:"), seed)
                    live |= {key: one for key, one in sealed_of(values).items() if key[0] == channel}
            from_file = {key: one for key, one in from_file.items() if key in live}
        else:
            live = sealed_of(collected(data, login, room, seed))
        assert from_file
        assert facts(live) == facts(from_file)
        if login is not None:
            assert all(one.coverage for one in live.values())
            assert not any(one.coverage for one in from_file.values())


def test_two_collectors_with_different_faults_seal_once_with_better_coverage_than_either(seed: int) -> None:
    chance = random.Random(seed)
    hour_ms = 3_600_000
    lines = [
        (at, chat(T0_MS + at, user=user, login=f"v{user}"))
        for at in sorted(chance.sample(range(hour_ms + 400_000), 6_000))
        for user in [chance.randrange(300)]
    ]

    def collector(source: str, down: list[tuple[int, int]]) -> Sink:
        sink = Sink()
        intake = intake_into(sink, source)
        connection = 0
        hears = False
        flushed = 0
        edges = sorted(edge for span in down for edge in span)
        for at, line in lines:
            up = not any(start <= at < end for start, end in down)
            if up and not hears:
                connection += 1
                joined = max((edge for edge in edges if edge <= at), default=0)
                intake.observing("chan", "22", connection, T0_MS + joined)
            elif hears and not up:
                intake.lost("chan", connection)
            hears = up
            if up:
                intake.received(connection, line, T0_MS + at + 30)
            if at - flushed > 250:
                intake.flush(T0_MS + at + 30)
                flushed = at
        intake.flush(T0_MS + hour_ms + 500_000)
        return sink

    first = collector("a", [(600_000, 780_000), (2_000_000, 2_100_000)])
    second = collector("b", [(700_000, 900_000), (3_000_000, 3_100_000)])
    mixed: list[bytes] = []
    queues = [list(first.values), list(second.values)]
    while any(queues):  # in any order between the two, in its own order each
        queue = chance.choice([queue for queue in queues if queue])
        mixed.append(queue.pop(0))
        lengths = [len(queue) for queue in queues]
        if lengths[0] > lengths[1] + 50 or lengths[1] > lengths[0] + 50:
            mixed.append(max(queues, key=len).pop(0))
    key = ("twitch:id:22", T0_MS // 1000)
    seals = sealed_of(mixed)
    assert list(seals) == [key]
    both = seals[key]

    def live_ms(values: list[bytes]) -> int:
        found = sealed_of(values)[key]
        return sum(end - start for start, end, kind in found.coverage if kind == "live")

    hole_ms = hour_ms - live_ms(mixed)
    assert live_ms(mixed) > max(live_ms(first.values), live_ms(second.values))
    assert 80_000 - 3_000 < hole_ms < 80_000 + 5_000  # both were down from 700 s to 780 s
    (absent,) = [(start, end) for start, end, kind in both.coverage if kind == "absent"]
    assert abs(absent[0] - T0_MS - 700_000) < 3_000
    expected = {at for at, _ in lines if at < hour_ms and not 700_000 <= at < 780_000}
    assert both.header.total_messages == len(expected)
    assert both.stats.duplicates > 4_000
    assert all(a[1] == b[0] for a, b in pairwise(both.coverage))
