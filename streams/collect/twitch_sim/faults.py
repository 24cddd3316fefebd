"""A schedule of misbehaviours from a seed: which, when, to whom. `--faults cut/30,silent/120/20` and the like.

A rule is KIND/EVERY or KIND/EVERY/FOR, in seconds: about every EVERY seconds (half to one and a half times as long),
lasting FOR where that means something.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from schemas.errors import TwzrdError
from streams.collect.simulation.dice import Dice
from streams.collect.twitch_sim import hostile
from streams.collect.twitch_sim.misbehaviour import Misbehaviour
from streams.collect.twitch_sim.session import Session

DEFAULT_FOR_S: Final = {
    "cut": 0.0,
    "close": 0.0,
    "half-close": 0.0,
    "reconnect": 5.0,
    "silent": 60.0,
    "delay": 5.0,
    "split": 10.0,
    "duplicate": 0.0,
    "wrong-pong": 0.0,
    "flood": 0.0,
    "crowd": 5.0,
    "netsplit": 10.0,
    "hostile": 0.0,
}
"""The kinds, and how long each lasts where a rule does not say."""
DELAY_S: Final = 2.0


class FaultSpecError(TwzrdError):
    """A schedule that cannot be read."""


class Rule(NamedTuple):
    """One kind of fault. every_ms: the mean time between two."""

    kind: str
    every_ms: int
    for_s: float


class Fault(NamedTuple):
    """One fault. pick: a number that says whom it strikes and how, whoever is there by then."""

    at_ms: int
    kind: str
    for_s: float
    pick: int


def parse_faults(spec: str) -> list[Rule]:
    """The rules of a spec, none of an empty one. Raises FaultSpecError naming the part that is off."""
    rules = []
    for part in filter(None, (part.strip() for part in spec.split(","))):
        kind, *numbers = part.split("/")
        try:
            every_s, for_s = float(numbers[0]), float(numbers[1]) if len(numbers) == 2 else DEFAULT_FOR_S[kind]
            good = len(numbers) <= 2 and 0.01 <= every_s <= 86_400 and 0 <= for_s <= 86_400
        except (ValueError, IndexError, KeyError):
            good = False
        if not good:
            raise FaultSpecError(
                f"fault {part!r} cannot be read; give KIND/EVERY_S or KIND/EVERY_S/FOR_S, for example cut/30 or "
                f"silent/120/20; kinds are {', '.join(DEFAULT_FOR_S)}"
            )
        rules.append(Rule(kind, round(every_s * 1000), for_s))
    return rules


def schedule(rules: Sequence[Rule], seed: int) -> Iterator[Fault]:
    """All faults in order of time, without end; the same for the same rules and seed."""
    dices = [Dice(seed, 3, number) for number in range(len(rules))]
    due = [(_gap_ms(rule, dice), number) for number, (rule, dice) in enumerate(zip(rules, dices, strict=True))]
    heapq.heapify(due)
    while due:
        at_ms, number = due[0]
        rule, dice = rules[number], dices[number]
        yield Fault(at_ms, rule.kind, rule.for_s, dice.one(2**31 - 1))
        heapq.heapreplace(due, (at_ms + _gap_ms(rule, dice), number))


def _gap_ms(rule: Rule, dice: Dice) -> int:
    return max(1, rule.every_ms // 2 + dice.one(rule.every_ms + 1))


async def run_schedule(
    faults: Iterator[Fault], misbehaviour: Misbehaviour, sessions: Callable[[], list[Session]], counts: Counter[str]
) -> None:
    """Do each when it is due, counted by kind; one that finds nobody to strike is passed over, counted."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for fault in faults:
        await asyncio.sleep(max(0.0, began_s + fault.at_ms / 1000 - loop.time()))
        there = [session for session in sessions() if session.nick and not session.outlet.silent]
        if there:
            strike(fault, misbehaviour, there[fault.pick % len(there)])
            counts[fault.kind] += 1
        else:
            counts["found_nobody"] += 1


def strike(fault: Fault, misbehaviour: Misbehaviour, session: Session) -> None:
    """One fault, to one client."""
    logins = session.logins()
    if fault.kind == "cut":
        misbehaviour.cut(session)
    elif fault.kind == "close":
        misbehaviour.close(session)
    elif fault.kind == "half-close":
        misbehaviour.half_close(session)
    elif fault.kind == "reconnect":
        misbehaviour.reconnect(session, fault.for_s)
    elif fault.kind == "silent":
        misbehaviour.silence(session, fault.for_s)
    elif fault.kind == "delay":
        misbehaviour.delay(session, DELAY_S, fault.for_s)
    elif fault.kind == "split":
        misbehaviour.split(session, fault.for_s)
    elif fault.kind == "duplicate":
        misbehaviour.duplicate(session)
    elif fault.kind == "wrong-pong":
        misbehaviour.wrong_pong(session)
    elif fault.kind == "hostile":
        kinds = list(hostile.KINDS)
        misbehaviour.hostile(session, kinds[fault.pick // 7 % len(kinds)])
    elif logins and fault.kind == "flood":
        misbehaviour.flood(logins[fault.pick // 7 % len(logins)])
    elif logins and fault.kind == "crowd":
        misbehaviour.crowd(logins[fault.pick // 7 % len(logins)], for_s=fault.for_s)
    elif logins and fault.kind == "netsplit":
        # A third of the client's channels, by chance.
        misbehaviour.netsplit([login for n, login in enumerate(logins) if (fault.pick + n * n) % 3 == 0], fault.for_s)
