"""What happens in a history, as values, and the generator: pure, so that a seed and a number give the same one again.

A world is small: viewers 0 to 3, hours 0 to 2 in which all took part, one or two payers with a signer each, two web
processes, two or three nodes over one chain. Acts come in an order that the seed says; rounds of the payers between.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from claim_api.ledger.steps import Step

VIEWERS: Final = 4
HOURS: Final = 3
SIGNER_STEPS: Final = (Step.CHECKED, Step.BOOKED, Step.ANSWERING)
EXPIRY_STEPS: Final = (Step.LOOKED, Step.EXPIRING, Step.EXPIRED)
DAY_S: Final = 86_400
LIFE_SLOTS: Final = 150
Kind = Literal["drop", "deny", "late", "http", "error", "lag", "lie", "down", "invents"]


@dataclass(frozen=True, slots=True)
class Hours:
    """More hours are sealed in which all took part."""

    count: int


@dataclass(frozen=True, slots=True)
class Revise:
    """An hour is sealed again: everybody said more, so everybody's allocation grows."""

    hour: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to reserve; hours None: all."""

    api: int
    viewer: int
    hours: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Reserve:
    """All of these at the same time."""

    asked: tuple[Ask, ...]


@dataclass(frozen=True, slots=True)
class ApiDies:
    """A web process dies while it reserves: before its commit, or between commit and answer."""

    asked: Ask
    committed: bool


@dataclass(frozen=True, slots=True)
class ViewerPays:
    """The wallet pays the fee: submits, with the newest blockhash that it knows (fresh) or the one it was given; signs
    and never sends; submits and hands the bytes to the network too; or signs an action that it sends itself, now, late,
    or never."""

    viewer: int
    how: Literal["submit", "fresh", "never", "broadcast", "act", "act late", "act never"]


@dataclass(frozen=True, slots=True)
class Rebind:
    """Another wallet; it waits, as the rule says."""

    viewer: int


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The waiting time of all wallets has passed."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Whichever payer or signer next comes to this step dies there."""

    step: Step


@dataclass(frozen=True, slots=True)
class Kill:
    """A process dies somewhere in its next step, after so many turns of the loop."""

    process: Literal["payer", "signer"]
    which: int
    turns: int


@dataclass(frozen=True, slots=True)
class DatabaseCut:
    """Every connection to the database ends, whatever was under way on it, as when the postmaster dies."""

    turns: int


@dataclass(frozen=True, slots=True)
class ChainDies:
    """The chain is killed and comes back from its journal."""

    turns: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """A node misbehaves until it is well again. down: no answer at all; invents: a fate for whatever it does not know,
    while the nodes that answer otherwise are as many as such as it."""

    node: int
    kind: Kind
    slots: int


@dataclass(frozen=True, slots=True)
class Well:
    """All nodes are well again."""


@dataclass(frozen=True, slots=True)
class AllLie:
    """Every node says that the chain is far ahead, and knows no signature and no account, within a single slot: for one
    look, or (twice) for two looks some slots apart, which no rule but the marker can stand."""

    twice: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """Every node says yes and drops what it is given, and the blockhash goes out of date."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Somebody hands every transaction that ever was seen to the chain again."""


@dataclass(frozen=True, slots=True)
class Freeze:
    """The operator stops signing."""


@dataclass(frozen=True, slots=True)
class Unfreeze:
    """And lets it go on."""


@dataclass(frozen=True, slots=True)
class Cap:
    """A daily cap, as claims of one hour; None lifts it."""

    hours: int | None


@dataclass(frozen=True, slots=True)
class Clock:
    """The database's clock, which is everybody's, jumps to so far from the true one."""

    offset_s: int


@dataclass(frozen=True, slots=True)
class Retry:
    """The operator lets every held claim go on."""


@dataclass(frozen=True, slots=True)
class Slots:
    """So many slots pass at once."""

    count: int


@dataclass(frozen=True, slots=True)
class Rounds:
    """So many rounds: every payer takes, looks and asks rent back, all at once; slots pass between."""

    count: int
    slots: int


Act = (
    Hours | Revise | Reserve | ApiDies | ViewerPays | Rebind | WaitOver | Arm | Kill | DatabaseCut | ChainDies | Trouble
    | Well | AllLie | Lost | Replay | Freeze | Unfreeze | Cap | Clock | Retry | Slots | Rounds
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """number: of the run; payers: so many payers and signers; nodes: of RPC."""

    number: int
    payers: int
    nodes: int
    acts: tuple[Act, ...]

    def __str__(self) -> str:
        head = f"history {self.number}: {self.payers} payers, {self.nodes} nodes"
        return "\n".join([head, *(f"  {place:2} {act}" for place, act in enumerate(self.acts))])


def history(seed: int, number: int, payers: int) -> History:
    """The history of that number. Every named step is armed in turn; what it needs comes with it."""
    chance = random.Random(f"{seed} {number} {payers}")
    nodes = chance.choice((2, 3))
    step = list(Step)[number % len(Step)]
    acts: list[Act] = [_some(chance), *_armed(step)]
    for _ in range(chance.randint(5, 11)):
        made = chance.choices(list(_MAKERS), list(_MAKERS.values()))[0](chance, nodes)
        acts += made if isinstance(made, list) else [made]
        if chance.random() < 0.7:
            acts.append(Rounds(chance.randint(1, 3), chance.choice((1, 2, 4))))
    return History(number, payers, nodes, tuple(acts))


def _armed(step: Step) -> list[Act]:
    if step in EXPIRY_STEPS:
        return [Lost(), Arm(step), Rounds(3, 3), Well(), Rounds(2, 3)]
    if step is Step.RECLAIMING:
        return [Rounds(4, 3), Slots(600), Clock(DAY_S + 60), Arm(step), Rounds(2, 3)]
    return [Arm(step), Rounds(4, 2)]


def _ask(chance: random.Random, viewer: int | None = None) -> Ask:
    hours = None
    if chance.random() < 0.6:
        hours = tuple(sorted(chance.sample(range(HOURS), chance.randint(1, HOURS - 1))))
    return Ask(chance.randrange(2), chance.randrange(VIEWERS) if viewer is None else viewer, hours)


def _some(chance: random.Random, _: int = 0) -> Act:
    return Reserve(tuple(_ask(chance) for _ in range(chance.randint(1, 5))))


def _flood(chance: random.Random, _: int) -> Act:
    viewer = chance.randrange(VIEWERS)
    one = (chance.randrange(HOURS),)
    return Reserve(tuple(Ask(place % 2, viewer, one if place % 3 else None) for place in range(64)))


def _trouble(chance: random.Random, nodes: int) -> Act:
    kind: Kind = chance.choice(("drop", "deny", "late", "http", "error", "lag", "lie", "down", "invents"))
    return Trouble(chance.randrange(nodes), kind, chance.choice((3, 20, 90, 149)))


def _everywhere(chance: random.Random, nodes: int) -> list[Act]:
    kind: Kind = chance.choice(("deny", "late", "lag"))
    slots = chance.choice((3, 20, 90, 149))
    return [Trouble(node, kind, slots) for node in range(nodes)]


def _frozen(chance: random.Random, _: int) -> list[Act]:
    # Something is reserved that nobody has signed for yet: else the switch would have nothing to stop.
    waiting = Reserve((Ask(chance.randrange(2), chance.randrange(VIEWERS), None),))
    return [Hours(1), waiting, Freeze(), Rounds(2, 2), _some(chance), Rounds(1, 2), Unfreeze()]


def _capped(chance: random.Random, _: int) -> list[Act]:
    return [Hours(1), Cap(chance.randint(0, 4)), _some(chance), Rounds(2, 2)]


_MAKERS: Final[dict[Callable[[random.Random, int], Act | list[Act]], float]] = {
    _some: 5.0,
    _flood: 1.0,
    _trouble: 4.0,
    _everywhere: 2.0,
    _frozen: 1.0,
    _capped: 1.0,
    lambda chance, _: Hours(chance.randint(1, 2)): 1.0,
    lambda chance, _: Revise(chance.randrange(HOURS)): 2.0,
    lambda chance, _: ApiDies(_ask(chance), chance.random() < 0.5): 2.0,
    lambda chance, _: ViewerPays(
        chance.randrange(VIEWERS),
        chance.choice(("submit", "fresh", "never", "broadcast", "act", "act late", "act never")),
    ): 3.0,
    lambda chance, _: Rebind(chance.randrange(VIEWERS)): 1.0,
    lambda chance, _: WaitOver(): 0.7,
    lambda chance, _: Arm(chance.choice(list(Step))): 2.0,
    lambda chance, _: Kill(chance.choice(("payer", "signer")), chance.randrange(2), chance.randint(0, 60)): 3.0,
    lambda chance, _: DatabaseCut(chance.randint(0, 60)): 2.0,
    lambda chance, _: ChainDies(chance.randint(0, 60)): 2.0,
    lambda chance, _: Well(): 2.0,
    lambda chance, _: [_some(chance), Rounds(1, 1), AllLie(chance.random() < 0.5)]: 1.5,
    lambda chance, _: [Lost(), Rounds(3, 3), Well()]: 1.5,
    lambda chance, nodes: [Trouble(chance.randrange(nodes), "invents", 0), Lost(), Rounds(2, 2)]: 1.0,
    lambda chance, _: Replay(): 2.0,
    lambda chance, _: Cap(None): 0.5,
    lambda chance, _: [Clock(chance.choice((-DAY_S, 0, DAY_S))), _some(chance)]: 1.5,
    lambda chance, _: Retry(): 0.7,
    lambda chance, _: Slots(chance.choice((5, 40, LIFE_SLOTS + 30, 400))): 2.0,
}
