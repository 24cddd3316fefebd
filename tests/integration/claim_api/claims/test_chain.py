"""The port to the chain, over real JSON-RPC: what a look at all nodes says of an attempt, and when it says nothing."""

from pathlib import Path

import pytest

from claim_api.chain.port import ChainAway, Finding, Subject
from claim_api.chain.rpc import RpcChain
from claim_api.ledger.steps import Step
from infra.localnet import Fault
from streams.chain.rpc.config import EndpointConfig
from streams.chain.rpc.pool import RpcPool
from tests.claims_parts import Crashed, Crasher
from tests.claims_world import ClaimsWorld, claims_world

DEAD_NODE = "http://127.0.0.1:9"
"""The port of `discard`, where nobody listens."""


async def subject(world: ClaimsWorld) -> Subject:
    row = await world.owner.fetchrow(
        "select a.*, c.marker from claims.attempts a join claims.claims c using (claim_id)"
    )
    return Subject(row["marker"], row["signature"], row["last_valid_block_height"])


async def finding(world: ClaimsWorld) -> Finding:
    return (await world.chain.look([await subject(world)])).findings[0]


async def stored_not_sent(world: ClaimsWorld) -> None:
    claim = await world.viewer_with_claim()
    assert claim.claim_id
    with pytest.raises(Crashed):
        await world.payer(crash=Crasher(Step.STORED)).take()


async def test_an_attempt_is_alive_until_its_height_is_past(claims: ClaimsWorld) -> None:
    await stored_not_sent(claims)
    last = (await subject(claims)).last_valid_block_height
    finality = claims.localnet.options.finality_slots
    claims.slots(last + finality - claims.localnet.chain.slot)
    assert await finding(claims) is Finding.ALIVE
    claims.slots(1)
    assert await finding(claims) is Finding.DEAD


async def test_what_landed_is_found_and_then_marked(claims: ClaimsWorld) -> None:
    await claims.viewer_with_claim()
    await claims.payer().take()
    assert await finding(claims) is Finding.FOUND
    claims.slots(4)
    assert await finding(claims) is Finding.MARKED


async def test_a_landed_attempt_is_never_dead_even_without_its_marker(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.until_confirmed(claim)
    claims.slots(400)
    await payer.payer.rent.step()
    claims.slots(400)
    assert await finding(claims) is Finding.FOUND


@pytest.mark.parametrize(("dead", "expected"), [(0, Finding.DEAD), (1, Finding.UNKNOWN), (2, Finding.UNKNOWN)])
async def test_more_than_half_of_the_nodes_must_answer(
    pg_dsn: str, tmp_path: Path, dead: int, expected: Finding
) -> None:
    nodes = [f"{DEAD_NODE}/{n}" for n in range(dead)]
    async with claims_world(pg_dsn, tmp_path, nodes=nodes) as world:
        await stored_not_sent(world)
        world.slots(400)
        assert await finding(world) is expected


async def test_two_of_three_nodes_are_enough(pg_dsn: str, tmp_path: Path) -> None:
    async with claims_world(pg_dsn, tmp_path) as world:
        await stored_not_sent(world)
        world.slots(400)
        urls = (world.localnet.url, world.localnet.url + "/again", DEAD_NODE)
        pool = RpcPool([EndpointConfig(url=url, rate_per_s=1000, burst=1000) for url in urls])
        await pool.start(watch=False)
        try:
            look = await RpcChain(pool).look([await subject(world)])
        finally:
            await pool.close()
        assert look.findings == (Finding.DEAD,)


async def test_a_node_that_lags_keeps_an_attempt_alive(claims: ClaimsWorld) -> None:
    """It has not seen the height yet, nor the slot of the look."""
    await stored_not_sent(claims)
    last = (await subject(claims)).last_valid_block_height
    claims.slots(last + 10 - claims.localnet.chain.slot)
    claims.localnet.faults.lag(100)
    assert await finding(claims) is Finding.ALIVE


async def test_nothing_is_concluded_from_silence(claims: ClaimsWorld) -> None:
    await stored_not_sent(claims)
    claims.slots(400)
    claims.localnet.faults.set("getMultipleAccounts", Fault("http"))
    with pytest.raises(ChainAway):
        await finding(claims)
    claims.localnet.faults.clear()


async def test_sending_to_nobody_is_said(claims: ClaimsWorld) -> None:
    claims.localnet.faults.set("sendTransaction", Fault("http"))
    with pytest.raises(ChainAway):
        await claims.chain.send(b"x" * 100)
    claims.localnet.faults.clear()
    assert "transaction" in str(await claims.chain.send(b"x" * 100)).lower()


async def test_the_supply_is_what_was_paid(claims: ClaimsWorld) -> None:
    assert await claims.chain.supply_base_units(str(claims.mint)) == 0
    claim = await claims.viewer_with_claim()
    await claims.payer().until_confirmed(claim)
    assert await claims.chain.supply_base_units(str(claims.mint)) == claim.amount_base_units


async def test_landings_of_a_marker_are_its_whole_history(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.until_confirmed(claim)
    marker = await claims.owner.fetchval("select marker from claims.claims")
    signature = await claims.owner.fetchval("select signature from claims.claims")
    assert [one.signature for one in await claims.chain.landings(marker)] == [signature]
    claims.slots(400)
    await payer.payer.rent.step()
    claims.slots(4)
    assert [one.signature for one in await claims.chain.landings(marker)][-1] == signature
    assert await claims.chain.accounts([marker]) == [None]
