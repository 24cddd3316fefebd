"""The generator: the same again for the same seed, another for another; everything comes up in one run."""

from claim_api.ledger.steps import Step
from tests.integration.claims.histories import acts
from tests.integration.claims.histories.acts import Act, History, history
from tests.integration.claims.histories.test_two_payers import HISTORIES


def run(seed: int) -> list[History]:
    return [history(seed, number, payers=2) for number in range(HISTORIES)]


def test_a_seed_and_a_number_give_the_same_again() -> None:
    assert run(1) == run(1)
    assert run(1) != run(2)
    assert len({one.acts for one in run(1)}) == HISTORIES


def test_every_act_and_every_step_comes_up_in_a_run() -> None:
    made = [act for one in run(1) for act in one.acts]
    assert {type(act) for act in made} == set(Act.__args__)
    armed = [act.step for act in made if isinstance(act, acts.Arm)]
    assert all(armed.count(step) >= HISTORIES // len(Step) for step in Step)
    assert any(isinstance(act, acts.Reserve) and len(act.asked) == 64 for act in made)


def test_a_history_says_what_happens_in_it() -> None:
    said = str(History(3, 1, 2, (acts.Freeze(), acts.Slots(5))))
    assert said == "history 3: 1 payers, 2 nodes\n   0 Freeze()\n   1 Slots(count=5)"
