"""What the payer does at the same time: one batch is sent while the next is signed, and nothing twice for that."""

import asyncio
from dataclasses import replace
from typing import Any

from claim_api.ledger.moves import STATES_NOTIFY
from claim_api.signer.protocol import Answer, Question, Sign
from tests.claims_parts import SignerHere
from tests.claims_world import QUICK, ClaimsWorld

PATIENCE_S = 30.0


class SlowChain:
    """The chain, but nothing is taken before `go` is set; `asked` counts the sends."""

    def __init__(self, world: ClaimsWorld) -> None:
        self._world = world
        self.go, self.begun = asyncio.Event(), asyncio.Event()
        self.asked = 0

    async def send(self, transaction: bytes) -> str | None:
        self.asked += 1
        self.begun.set()
        await self.go.wait()
        refusal = await self._world.chain.send(transaction)
        self._world.slots(4)  # final
        return refusal

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.chain, name)


class CountingSigner(SignerHere):
    """The signer; the chain goes on when it is asked a second time."""

    def __init__(self, inner: SignerHere, chain: SlowChain) -> None:
        super().__init__(inner.signer)
        self._chain, self.batches = chain, 0

    async def ask(self, question: Question) -> list[Answer]:
        self.batches += isinstance(question, Sign)
        if self.batches == 2:
            self._chain.go.set()
        return await super().ask(question)


async def test_a_batch_is_sent_while_the_next_is_signed(claims: ClaimsWorld) -> None:
    await claims.hours(7, 8)
    made = []
    for viewer in (7, 8):
        await claims.bind(viewer)
        made.append(await claims.reserve(viewer))
    chain = SlowChain(claims)
    signer = CountingSigner(claims.signer(), chain)
    changed = asyncio.Event()
    await claims.owner.add_listener(STATES_NOTIFY, lambda *_: changed.set())
    pace = replace(QUICK, batch=1, lease_s=60.0, resend_s=60.0)
    payer, stop = claims.payer(signer, chain=chain, pace=pace), asyncio.Event()
    running = asyncio.create_task(payer.payer.run(stop))
    async with asyncio.timeout(PATIENCE_S):
        await chain.go.wait()
        while {await claims.state(one) for one in made} != {"confirmed"}:
            await changed.wait()
            changed.clear()
    stop.set()
    await running
    assert chain.asked == signer.batches == 2


async def test_what_is_being_sent_the_watch_passes_over(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    chain = SlowChain(claims)
    payer = claims.payer(chain=chain)
    taking = asyncio.create_task(payer.take())
    async with asyncio.timeout(PATIENCE_S):
        await chain.begun.wait()
        assert await payer.look() == 1  # open, and never sent as the ledger has it
        chain.go.set()
        await taking
    assert chain.asked == 1
    await payer.until_confirmed(claim)


async def test_a_payer_that_is_stopped_does_not_wait_for_a_slow_node(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    chain = SlowChain(claims)
    payer, stop = claims.payer(chain=chain), asyncio.Event()
    running = asyncio.create_task(payer.payer.run(stop))
    async with asyncio.timeout(PATIENCE_S):
        await chain.begun.wait()
        stop.set()
        await running
    assert await claims.state(claim) == "signed"
    await claims.payer().until_confirmed(claim)
