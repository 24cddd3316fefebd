"""SIGKILL of the real processes at every named step, one after the other, in one world: whatever dies where, the claim
on its way is paid once."""

import os
from pathlib import Path

import pytest

from claim_api.ledger.steps import Step
from tests.integration.claims.processes.world import Processes, processes

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(400)]
OF_SIGNER = (Step.CHECKED, Step.BOOKED, Step.ANSWERING)
OF_EXPIRY = (Step.LOOKED, Step.EXPIRING, Step.EXPIRED)


def owner_of(step: Step) -> str:
    return "sign" if step in OF_SIGNER else "pay"


async def paid_over(all_: Processes, step: Step, killed: str, *flags: object) -> None:
    """A claim comes to the step, there something dies, all is brought up again, the claim is paid."""
    victim = owner_of(step)
    await all_.kill(victim)
    lost = step in OF_EXPIRY
    if lost:
        await all_.pool.call("twzrd_setFault", ["sendTransaction", {"kind": "drop"}])
    # Where the database dies, what is ours is done before.
    claim = await all_.claim() if killed == "postgres" else None
    await all_.start(victim, "--at", step.name, *flags)
    claim = claim or await all_.claim()
    fast = 40 if lost or step is Step.RECLAIMING else 1
    if killed == victim:
        await all_.passing(all_.died(victim), slots=fast)
        await all_.start(victim)
    elif killed == "localnet":
        await all_.passing(all_.died("localnet"), slots=fast)
        await all_.start("localnet", "--port", all_.port)
    else:
        await all_.passing(all_.until(lambda: all_.postgres.running_pid() is None, victim), slots=fast)
        await all_.restarted_database()
    await all_.pool.call("twzrd_setFault", ["sendTransaction", None])
    await all_.until_state(claim.claim_id, "confirmed")
    print(f"{killed} killed at {step.name}: claim {claim.claim_id} is paid")


async def test_every_step_of_payer_and_signer(tmp_path: Path) -> None:
    async with processes(tmp_path) as all_:
        for step in Step:
            await paid_over(all_, step, owner_of(step))
        await all_.verdict()


async def test_the_chain_and_the_database_at_every_step(tmp_path: Path) -> None:
    async with processes(tmp_path) as all_:
        for step in Step:
            await paid_over(all_, step, "localnet", "--kill", all_.running["localnet"].pid)
            pid = all_.postgres.running_pid()
            assert pid is not None and pid != os.getpid()
            await paid_over(all_, step, "postgres", "--kill", pid)
        await all_.verdict()


async def test_the_chain_between_landing_and_answer(tmp_path: Path) -> None:
    async with processes(tmp_path) as all_:
        await all_.kill("localnet")
        await all_.start("localnet", "--port", all_.port, "--at", "LANDED")
        claim = await all_.claim()
        await all_.died("localnet")
        await all_.start("localnet", "--port", all_.port)
        await all_.until_state(claim.claim_id, "confirmed")
        await all_.verdict()


@pytest.mark.parametrize("signer_s", [86_400, -86_400])
async def test_processes_whose_clocks_are_a_day_apart(tmp_path: Path, signer_s: int) -> None:
    async with processes(tmp_path) as all_:
        for name, by_s in (("sign", signer_s), ("pay", -signer_s)):
            await all_.kill(name)
            await all_.start(name, "--clock-s", by_s)
        claims = [await all_.claim() for _ in range(3)]
        for claim in claims:
            await all_.until_state(claim.claim_id, "confirmed")
        await all_.verdict()
