"""What strikes a way's workers, and when: a plan drawn from a seed. The same seed gives the same plan and log; only the
moments inside the processes differ from run to run."""

import random
from dataclasses import dataclass
from enum import Enum


class Fault(Enum):
    """One step of a plan."""

    KILL = "kill -9 of a worker, started again at once"
    KILL_ALL = "kill -9 of all workers at once, some time without any"
    PAUSE = "SIGSTOP of a worker beyond its session or lease, SIGCONT; other faults strike meanwhile"
    JOIN = "a third worker joins"
    LEAVE = "the third worker leaves in good order"
    STALL = "nothing is appended for longer than the grace"
    SERVER = "kill -9 of the broker or postmaster, started again"


@dataclass(frozen=True, slots=True)
class Step:
    """After `wait_s`, during which a share of the log is appended, the fault strikes; at `strikes_at` (0..1) of it."""

    fault: Fault
    wait_s: float
    strikes_at: float


def plan(rng: random.Random, *, kills: int, pauses: int, waits_s: tuple[float, float]) -> list[Step]:
    """A plan with that many kills at least, two rebalances by a third worker, a stall, one server killed."""
    faults = [Fault.KILL] * kills + [Fault.PAUSE] * pauses + [Fault.KILL_ALL, Fault.STALL, Fault.SERVER]
    rng.shuffle(faults)
    joins, leaves = sorted(rng.sample(range(len(faults) + 1), 2))
    faults.insert(joins, Fault.JOIN)
    faults.insert(leaves + 1, Fault.LEAVE)
    return [Step(fault, rng.uniform(*waits_s), rng.random()) for fault in faults]
