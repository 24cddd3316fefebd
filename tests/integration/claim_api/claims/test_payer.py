"""The payer: whatever dies, is lost or lies, a claim is paid exactly once, and the ledger ends where the chain does."""

import asyncio
from typing import Any

import msgspec
import pytest

from claim_api.chain.port import Finding, Look, Subject
from claim_api.ledger.errors import LedgerError
from claim_api.ledger.operate import freeze
from claim_api.ledger.rows import Claim, Fee
from claim_api.ledger.steps import Step
from claim_api.unix_socket import SocketError
from infra.localnet import Fault
from tests.claims_parts import Crashed, Crasher
from tests.claims_world import ClaimsWorld, PayerHere, reconciled

WAY = (
    Step.TAKEN,
    Step.CHECKED,
    Step.BOOKED,
    Step.ANSWERING,
    Step.SIGNED,
    Step.STORED,
    Step.SENT,
    Step.NOTED,
    Step.SEEN,
    Step.CONFIRMED,
)
"""Steps of a claim that meets no obstacle."""


async def paid_once(world: ClaimsWorld, claim: Claim) -> None:
    assert await world.state(claim) == "confirmed"
    world.slots(400)
    assert world.paid(claim.viewer_key) == claim.amount_base_units
    assert await reconciled(world) == []


@pytest.mark.parametrize("at", WAY)
async def test_a_process_that_dies_at_any_step_pays_once(claims: ClaimsWorld, at: Step) -> None:
    claim = await claims.viewer_with_claim()
    crash = Crasher(at)
    payer = claims.payer(claims.signer(crash), crash)
    with pytest.raises(Crashed):
        await payer.until_confirmed(claim)
        await payer.look()
    await claims.payer().until_confirmed(claim)
    await paid_once(claims, claim)


@pytest.mark.parametrize("at", [Step.LOOKED, Step.EXPIRING, Step.EXPIRED])
async def test_a_process_that_dies_while_it_gives_up_pays_once(claims: ClaimsWorld, at: Step) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    crash = Crasher(at)
    payer = claims.payer(crash=crash)
    with pytest.raises(Crashed):
        await payer.until_confirmed(claim)
    assert crash.passed[-1] is at
    claims.localnet.faults.clear()
    await claims.payer().until_confirmed(claim)
    await paid_once(claims, claim)


async def test_a_lost_transaction_is_sent_again_with_the_same_bytes(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("drop", times=2))
    payer = claims.payer()
    await payer.until_confirmed(claim)
    rows = await claims.owner.fetch("select * from claims.attempts")
    assert len(rows) == 1 and rows[0]["sends"] == 3
    assert payer.metrics.value("resends") == 2
    await paid_once(claims, claim)


async def test_an_attempt_that_can_land_no_more_is_followed_by_another(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    payer = claims.payer()
    await payer.take()

    async def expired() -> bool:
        return payer.metrics.value("expired") == 1

    await payer.until(expired)
    claims.localnet.faults.clear()
    await payer.until_confirmed(claim)
    fates = [row["fate"] for row in await claims.owner.fetch("select fate from claims.attempts order by attempt")]
    assert fates == ["expired", "confirmed"]
    await paid_once(claims, claim)


async def test_one_look_expires_nothing(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    payer = claims.payer()
    await payer.take()
    claims.slots(400)
    await payer.look()
    await payer.look()  # the same slot: no second look
    assert await claims.state(claim) == "signed"
    claims.slots(2)
    await payer.look()
    assert await claims.state(claim) == "reserved"


async def test_an_attempt_that_may_still_land_is_not_expired(claims: ClaimsWorld) -> None:
    """It lands late, at the end of its life, while nobody knows its signature."""
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("late", slots=140, times=1))
    payer = claims.payer()
    await payer.take()
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    for _ in range(14):
        claims.slots(9)
        await payer.look()
        assert await claims.state(claim) == "signed"
    claims.slots(20)
    await payer.until_confirmed(claim)
    assert await claims.owner.fetchval("select count(*) from claims.attempts") == 1
    await paid_once(claims, claim)


async def test_a_node_that_denies_what_it_landed_pays_nobody_twice(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    claims.localnet.faults.set("sendTransaction", Fault("deny"))
    await claims.payer().until_confirmed(claim)
    await paid_once(claims, claim)


class LyingChain:
    """The chain, but a look finds every attempt dead and no marker has a history, as nodes that lie together would."""

    def __init__(self, world: ClaimsWorld) -> None:
        self._world = world
        self.lies = True

    async def look(self, subjects: list[Subject]) -> Look:
        if not self.lies:
            return await self._world.chain.look(subjects)
        return Look(self._world.localnet.chain.slot, (Finding.DEAD,) * len(subjects))

    async def landings(self, address: str) -> Any:
        return [] if self.lies else await self._world.chain.landings(address)

    async def statuses(self, signatures: list[str], *, history: bool) -> Any:
        return [None] * len(signatures) if self.lies else await self._world.chain.statuses(signatures, history=history)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.chain, name)


async def test_nodes_that_all_lie_cannot_make_a_second_payment(claims: ClaimsWorld) -> None:
    """They hide the first landing until another attempt is signed; the chain refuses that one, and the ledger finds
    the first by its marker."""
    claim = await claims.viewer_with_claim()
    chain: Any = LyingChain(claims)
    signer = claims.signer(chain=chain)
    payer = claims.payer(signer, chain=chain)
    await payer.take()
    for _ in range(2):
        claims.slots(4)
        await payer.look()
    assert await claims.state(claim) == "reserved"
    await payer.take()
    assert await claims.owner.fetchval("select count(*) from claims.attempts") == 2
    chain.lies = False
    await payer.until_confirmed(claim)
    fates = [row["fate"] for row in await claims.owner.fetch("select fate from claims.attempts order by attempt")]
    assert fates == ["confirmed", "expired"]
    assert payer.metrics.value("confirmed_late") == 1
    await paid_once(claims, claim)


async def test_two_payers_and_two_signers_pay_each_claim_once(claims: ClaimsWorld) -> None:
    await claims.hours(*range(10, 50))
    made = []
    for viewer in range(10, 50):
        await claims.bind(viewer)
        made.append(await claims.reserve(viewer))
    payers = [claims.payer(claims.signer()) for _ in range(2)]

    async def run(payer: PayerHere) -> None:
        for _ in range(30):
            await payer.take()
            await payer.look()

    async def slots() -> None:
        for _ in range(60):
            claims.slots(1)
            await asyncio.sleep(0)

    await asyncio.gather(*(run(payer) for payer in payers), slots())
    await payers[0].until_confirmed(*made)
    assert {claims.paid(viewer) for viewer in range(10, 50)} == {made[0].amount_base_units}
    assert await claims.owner.fetchval("select count(*) from claims.attempts") == 40
    assert await reconciled(claims) == []


async def test_a_permanent_error_holds_the_claim_and_retry_lets_it_go_on(claims: ClaimsWorld) -> None:
    """The authority cannot mint: the chain says so, and an operator is told why."""
    claim = await claims.viewer_with_claim()
    real, claims.authority = claims.authority, type(claims.authority)()
    payer = claims.payer(claims.signer())

    async def held() -> bool:
        return await claims.state(claim) == "held"

    await payer.until(held)
    assert "refused_by_chain" in str(await claims.held_because(claim))
    assert claims.paid(7) == 0
    claims.authority = real
    await claims.retry(claim)
    await claims.payer(claims.signer()).until_confirmed(claim)
    await paid_once(claims, claim)


async def test_a_wallet_changed_before_anything_was_signed_is_paid_after_a_retry(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    old = claims.wallets[7]
    new = await claims.bind(7)
    await claims.owner.execute("update claims.user_wallets set effective_at = now()")
    payer = claims.payer()
    await payer.take()
    assert str(await claims.held_because(claim)).startswith("wallet_not_in_force")
    await claims.retry(claim)
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units  # the new one
    claims.wallets[7] = old
    assert claims.paid(7) == 0
    claims.wallets[7] = new
    assert await reconciled(claims) == []


async def test_a_wallet_changed_after_the_signing_is_not_paid_beside_the_old_one(claims: ClaimsWorld) -> None:
    """What the books have for the old wallet stays so, whatever an operator does."""
    claim = await claims.viewer_with_claim()
    crash = Crasher(Step.SIGNED)
    with pytest.raises(Crashed):
        await claims.payer(claims.signer(crash), crash).take()
    await claims.bind(7)
    await claims.owner.execute("update claims.user_wallets set effective_at = now()")
    payer = claims.payer()
    for _ in range(2):
        claims.slots(200)
        await payer.take()
        assert await claims.state(claim) == "held"
        await claims.retry(claim)
    assert await claims.owner.fetchval("select wallet from claims.claims") == claim.wallet
    assert claims.paid(7) == 0


@pytest.mark.parametrize("fee", ["viewer", "action"])
async def test_what_waits_for_a_viewer_who_does_not_come_goes_on_as_the_server_pays(
    claims: ClaimsWorld, fee: Fee
) -> None:
    claim = await claims.viewer_with_claim(fee=fee)
    payer = claims.payer()
    assert await payer.take() == 0
    await claims.retry(claim)
    await payer.until_confirmed(claim)
    await paid_once(claims, claim)
    with pytest.raises(LedgerError, match="is confirmed"):
        await claims.retry(claim)


async def test_a_refusal_of_the_signer_holds_the_claim(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    await claims.owner.execute("update claims.claims set amount_base_units = amount_base_units + 1")
    await claims.payer().take()
    assert await claims.state(claim) == "held"
    assert str(await claims.held_because(claim)).startswith("wrong_sum")


async def test_frozen_claims_wait_and_go_on(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    await freeze(claims.owner, "audit")
    payer = claims.payer()
    await payer.take()
    assert await claims.state(claim) == "reserved"
    assert payer.metrics.frozen._value.get() == 1
    await freeze(claims.owner, None)
    await payer.until_confirmed(claim)


async def test_what_was_signed_before_the_freeze_is_confirmed(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.take()
    await freeze(claims.owner, "audit")
    await payer.until_confirmed(claim)


async def test_an_absent_signer_puts_the_claims_off(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()

    class Absent:
        async def ask(self, question: object) -> Any:
            raise SocketError("nobody answers")

    absent: Any = Absent()
    with pytest.raises(SocketError):
        await claims.payer(absent).take()
    assert await claims.state(claim) == "reserved"
    await claims.payer().until_confirmed(claim)


async def test_a_signer_that_answers_with_another_payment_is_not_believed(claims: ClaimsWorld) -> None:
    first = await claims.viewer_with_claim(7)
    await claims.hours(8, first=5)
    await claims.bind(8)
    second = await claims.reserve(8)
    signer = claims.signer()

    class Swapped:
        async def ask(self, question: Any) -> Any:
            answers: dict[int, Any] = {one.claim_id: one for one in map(_any, await signer.ask(question))}
            one, other = answers[first.claim_id], answers[second.claim_id]
            return [
                msgspec.structs.replace(other, claim_id=one.claim_id),
                msgspec.structs.replace(one, claim_id=other.claim_id),
            ]

    swapped: Any = Swapped()
    payer = claims.payer(swapped)
    await payer.take()
    assert payer.metrics.value("mismatches") == 2
    assert await claims.state(first) == await claims.state(second) == "held"
    assert await claims.owner.fetchval("select count(*) from claims.attempts") == 0


def _any(answer: Any) -> Any:
    return answer
