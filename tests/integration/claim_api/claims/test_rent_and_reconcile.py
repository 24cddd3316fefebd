"""After the payment: a marker's rent comes back, and every confirmed claim is held against the chain."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from infra.localnet import Fault
from tests.claims_world import QUICK, ClaimsWorld, reconciled


async def test_rent_comes_back_to_the_fee_payer(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.until_confirmed(claim)
    marker = await claims.owner.fetchval("select marker from claims.claims")
    [account] = await claims.chain.accounts([marker])
    assert account is not None
    [before] = await claims.chain.accounts([str(claims.fee_payer.pubkey())])
    assert await payer.payer.rent.step() == (0, 0)  # by the chain's own time the attempt is not out of date yet
    claims.slots(400)
    assert await payer.payer.rent.step() == (0, 1)
    claims.slots(4)
    assert await payer.payer.rent.step() == (1, 0)
    assert await payer.payer.rent.step() == (0, 0)
    [after] = await claims.chain.accounts([str(claims.fee_payer.pubkey())])
    assert before is not None and after is not None
    assert after.lamports == before.lamports + account.lamports - 5000
    assert await claims.owner.fetchval("select rent_returned_at is not null from claims.claims")


async def test_rent_of_a_young_claim_stays(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer(pace=replace(QUICK, rent_after_s=86_400.0))
    await payer.until_confirmed(claim)
    assert await payer.payer.rent.step() == (0, 0)


RECONCILED: dict[str, tuple[str, str]] = {
    "amount": ("update claims.claims set amount_base_units = 5", "allocations sum"),
    "wallet": ("update claims.claims set wallet = 'SysvarC1ock11111111111111111111111111111111'", "not its payment"),
    "signature": ("update claims.claims set signature = repeat('1', 64)", "no node has"),
    "slot": ("update claims.claims set slot = 1", "landed in slot"),
    "marker": ("update claims.claims set marker = 'x'", "its marker is"),
    "unpaid row": ("update claims.claims set state = 'held'", "the supply of"),
}


@pytest.mark.parametrize("what", RECONCILED)
async def test_reconcile_names_each_difference(claims: ClaimsWorld, what: str) -> None:
    statement, words = RECONCILED[what]
    claim = await claims.viewer_with_claim()
    await claims.payer().until_confirmed(claim)
    assert await reconciled(claims) == []
    await claims.owner.execute(statement)
    assert words in " ".join(one.what for one in await reconciled(claims))


class MeanwhileChain:
    """The chain, but something happens just before its supply is read, or just after."""

    def __init__(self, world: ClaimsWorld, meanwhile: Callable[[], Awaitable[object]], *, before: bool) -> None:
        self._chain, self._meanwhile, self._before = world.chain, meanwhile, before

    async def supply_base_units(self, mint: str) -> int:
        if self._before:
            await self._meanwhile()
        found = await self._chain.supply_base_units(mint)
        if not self._before:
            await self._meanwhile()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._chain, name)


@pytest.mark.parametrize("before", [True, False])
async def test_claims_that_are_confirmed_while_the_supply_is_read_are_no_difference(
    claims: ClaimsWorld, before: bool
) -> None:
    first, payer = await claims.viewer_with_claim(), claims.payer()
    await payer.until_confirmed(first)
    await claims.hours(8, first=1)
    await claims.bind(8)
    second = await claims.reserve(8)
    real = claims.chain
    claims.chain = MeanwhileChain(claims, lambda: payer.until_confirmed(second), before=before)
    assert await reconciled(claims) == []
    assert await claims.state(second) == "confirmed"
    claims.chain = real
    assert await reconciled(claims) == []


async def test_claims_that_landed_and_are_not_confirmed_yet_are_no_difference(claims: ClaimsWorld) -> None:
    claim, payer = await claims.viewer_with_claim(), claims.payer()
    await payer.take()
    claims.slots(4)
    assert await claims.state(claim) == "signed" and claims.paid(7) == claim.amount_base_units
    assert await reconciled(claims) == []
    # What no claim under way accounts for is one.
    await claims.owner.execute("update claims.claims set amount_base_units = amount_base_units - 1")
    assert "the supply of" in " ".join(one.what for one in await reconciled(claims))


async def test_a_claim_under_way_hides_no_confirmed_one_that_is_missing(claims: ClaimsWorld) -> None:
    """The supply is less than what is confirmed; that another claim is signed and has not landed does not fill it."""
    first, payer = await claims.viewer_with_claim(), claims.payer()
    await payer.until_confirmed(first)
    await claims.hours(8, first=1)
    await claims.bind(8)
    await claims.reserve(8)
    claims.localnet.faults.set("sendTransaction", Fault("drop"))
    await payer.take()
    assert await reconciled(claims) == []
    await claims.owner.execute(
        "update claims.claims set amount_base_units = amount_base_units + 1 where state = 'confirmed'"
    )
    assert "the supply of" in " ".join(one.what for one in await reconciled(claims))
