"""After a loss in the spool nothing is claimed that may have been in it; the events that are left go on."""

import asyncio
from pathlib import Path

from schemas.envelope import CoverageKind, Envelope, decode, encode
from streams.collect.live.counters import OutboundCounters
from streams.collect.live.doubts import DOUBT_MS, Doubts
from streams.collect.live.outbound import LogOutbound
from streams.collect.live.spool import Spool
from streams.log.port import CHAT_EVENTS
from tests.live import T0_MS, Sink, chat, intake_into
from tests.unit.streams.collect.live.test_outbound import FaultyLog, running

CHANNEL = "twitch:id:22"
KEY = CHANNEL.encode()


def tick(number: int, kind: CoverageKind = "live", channel: str = CHANNEL) -> bytes:
    """The claim of that second."""
    at_ms = T0_MS + 1_000 * number
    return encode("tick", channel, "chan", "s", number, (at_ms, at_ms + 1_000, kind))


def test_claims_of_a_minute_after_a_loss_become_absent_by_channel() -> None:
    counters = OutboundCounters()
    doubts = Doubts(counters)
    value = tick(0)
    assert doubts.without_doubtful(KEY, value) is value
    doubts.lost()
    kinds = [said(doubts.without_doubtful(KEY, tick(number))) for number in range(70)]
    first_safe = 1 + DOUBT_MS // 1_000
    assert kinds == ["absent"] * first_safe + ["live"] * (70 - first_safe)
    assert said(doubts.without_doubtful(KEY, tick(first_safe - 1))) == "absent", "an older stretch that comes later"
    other = tick(70, channel="twitch:id:23")
    assert said(doubts.without_doubtful(b"twitch:id:23", other)) == "absent"
    for left_alone in (tick(2, "recovered"), encode("end", CHANNEL, "chan", "s", 1), b"damaged"):
        assert doubts.without_doubtful(KEY, left_alone) is left_alone
    assert counters.doubtful_claims == first_safe + 2
    long_after = tick(1 + 2 * DOUBT_MS // 1_000)
    assert doubts.without_doubtful(KEY, long_after) is long_after
    assert said(doubts.without_doubtful(KEY, tick(5))) == "live", "it is over"
    doubts.lost()
    assert said(doubts.without_doubtful(KEY, long_after)) == "absent", "and begins anew"


def test_events_stay_and_so_does_the_number_of_the_envelope() -> None:
    sink = Sink()
    intake = intake_into(sink)
    intake.observing("chan", "22", 1, T0_MS - 60_000)
    for at_ms in range(T0_MS, T0_MS + 5_000, 1_000):
        intake.received(1, chat(at_ms), at_ms + 30)
        intake.flush(at_ms + 30)
    [before] = [value for value in sink.values if (one := decode(value)).kind and one.observed][-1:]
    doubts = Doubts(OutboundCounters())
    doubts.lost()
    left, right = decode(before), decode(doubts.without_doubtful(KEY, before))
    assert left.observed is not None and right.observed == (*left.observed[:2], "absent")
    assert facts(left) == facts(right)


def facts(one: Envelope) -> tuple[object, ...]:
    return one.type, one.channel, one.login, one.source, one.seq, one.ids, one.at, one.kind, list(one.viewers)


def said(value: bytes) -> str:
    observed = decode(value).observed
    assert observed is not None
    return observed[2]


async def test_what_comes_after_a_damaged_segment_is_not_claimed_from_memory_or_disk(tmp_path: Path) -> None:
    log, counters = FaultyLog(), OutboundCounters()
    spool = Spool(tmp_path, counters, segment_bytes=200)
    spool.open()
    outbound = LogOutbound(log, spool, counters, answer_s=0.2, retry_s=0.02)
    log.away = True
    async with running(outbound), asyncio.timeout(30):
        for number in range(20):
            assert outbound.put(CHANNEL, tick(number), 0)
            while counters.spooled_records <= number:
                spool.sync()
                await asyncio.sleep(0.01)
        damage_second(tmp_path)
        log.away = False
        await outbound.flushed()
        for number in range(20, 90):
            assert outbound.put(CHANNEL, tick(number), 0)
        await outbound.flushed()
    found = [decode(one.value) for one in log.records(CHAT_EVENTS)]
    safe = [one.seq for one in found if one.observed and one.observed[2] == "live"]
    doubtful = [one.seq for one in found if one.observed and one.observed[2] == "absent"]
    lost = set(range(90)).difference(safe, doubtful)
    assert lost and counters.damaged_bytes
    assert safe == [*range(min(lost)), *range(max(lost) + 2 + DOUBT_MS // 1_000, 90)]
    assert doubtful[0] == max(lost) + 1


def damage_second(folder: Path) -> None:
    """The second segment of a spool."""
    path = sorted(folder.glob("*.spool"))[1]
    path.write_bytes(b"\xff" * path.stat().st_size)
