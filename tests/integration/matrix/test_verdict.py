"""The verdict sees every way in which seals can be off."""

import random
from collections.abc import Callable
from copy import deepcopy

import pytest

from schemas.sealed import Late
from schemas.streams import CHAT_EVENTS
from streams.log.port import Append
from tests.generators import random_log
from tests.integration.matrix.faults import Fault, plan
from tests.integration.matrix.rules import PEPPER, SCHEDULE
from tests.integration.matrix.said import Said, differences, expected
from tests.memory_log import MemoryLog

_told: list[Said] = []


async def said() -> Said:
    """What one shard says of a log; made once."""
    if _told:
        return _told[0]
    log = MemoryLog()
    await log.append(CHAT_EVENTS, [Append(None, key, value) for key, value in random_log(5, channels=3, hours=3)])
    _told.append(await expected(log, SCHEDULE, PEPPER))
    return _told[0]


def another_header(found: Said) -> None:
    place, headers = next(iter(found.seals.items()))
    found.seals[place] = {bytes(reversed(next(iter(headers))))}


def two_headers(found: Said) -> None:
    next(iter(found.seals.values())).add(b"another")


def seal_lost(found: Said) -> None:
    found.seals.pop(next(iter(found.seals)))


def seal_too_many(found: Said) -> None:
    found.seals["twitch:id:1", 0, 0] = {b"header"}


def late_lost(found: Said) -> None:
    found.late.pop()


def late_with_another_count(found: Said) -> None:
    known = next(iter(found.late))
    found.late.add(Late(known.v, known.channel, known.login, known.epoch_start_s, known.offset, known.count + 1))


def dead_lost(found: Said) -> None:
    found.dead.pop()


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (another_header, "wrong"),
        (two_headers, "wrong"),
        (seal_lost, "missing"),
        (seal_too_many, "extra"),
        (late_lost, "missing"),
        (late_with_another_count, "extra"),
        (dead_lost, "missing"),
    ],
)
async def test_one_change_is_one_difference(change: Callable[[Said], None], where: str) -> None:
    wanted = await said()
    found = deepcopy(wanted)
    assert not differences(wanted, found)
    change(found)
    seen = differences(wanted, found)
    assert {name: len(getattr(seen, name)) for name in ("wrong", "missing", "extra")} == {
        "wrong": 0,
        "missing": 0,
        "extra": 0,
        where: 1,
    }


def test_a_plan_has_every_fault_and_is_its_seeds(seed: int) -> None:
    steps = plan(random.Random(seed), kills=6, pauses=1, waits_s=(1.0, 2.0))
    assert {step.fault for step in steps} == set(Fault)
    assert sum(step.fault is Fault.KILL for step in steps) == 6
    assert [step.fault for step in steps].index(Fault.JOIN) < [step.fault for step in steps].index(Fault.LEAVE)
    assert steps == plan(random.Random(seed), kills=6, pauses=1, waits_s=(1.0, 2.0))
