"""The Python client against the served API: what was earned, a claim to its end, and each kind of fault."""

import asyncio
import re
from pathlib import Path

import pytest

from claim_api import client as api
from claim_api.client import Client
from claim_api.ledger.operate import freeze
from claim_api.limits import RATES, Rate
from schemas.bundle import Presence, decode
from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.hours import T0_S, sealed_hour, viewers_of

DOCS = Path(__file__).parents[4] / "docs" / "api.md"


async def cookie(site: ClaimsSite, viewer: int) -> str:
    signed_in = (await site.browser(viewer)).signed_in
    assert signed_in is not None
    return signed_in.reading["cookie"].partition("=")[2]


async def test_from_what_was_earned_to_a_confirmed_claim(site: ClaimsSite) -> None:
    await site.world.seal(sealed_hour(viewers_of(3)))
    await site.world.hours(1001, count=4, first=1)
    wallet = await site.world.bind(1001)
    async with Client(site.base, await cookie(site, 1001)) as client:
        me = await client.me()
        assert (me.viewer, me.cluster) == ("twitch:id:1001", "localnet")
        assert me.wallet is not None and me.wallet.wallet == str(wallet.pubkey())
        found = [one async for one in client.allocations(limit=2)]
        assert [one.epoch_start_s for one in found] == [T0_S + 3600 * n for n in reversed(range(5))]
        assert isinstance(decode(await client.proof(found[-1])), Presence)
        assert len(await client.weeks()) == 26
        claim = await client.claim(found[:2])
        assert claim.state == "reserved" and len(claim.allocations) == 2
        done = asyncio.create_task(client.until_done(claim))
        await site.payer.until_confirmed(await site.world.reserve(1001))
        confirmed = await done
        assert confirmed.state == "confirmed" and confirmed.signature
        assert await client.claim_now(claim.claim_id) == confirmed
        assert [one.claim_id for one in await client.claims()] == [claim.claim_id + 1, claim.claim_id]
        totals = (await client.eligibility()).totals
        assert totals.claimed.value == totals.entitled.value and totals.claimable.value == 0


async def test_faults_are_typed(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, rates={**RATES, "change": Rate(2, 1)}) as site:
        async with Client(site.base) as stranger:
            with pytest.raises(api.SignInRequired):
                await stranger.me()
        async with Client(site.base, await cookie(site, 7)) as client:
            with pytest.raises(api.ApiFault) as caught:
                await client.claim()
            assert (caught.value.status, caught.value.code) == (409, "no_wallet")
            await freeze(claims.owner, "a look")
            with pytest.raises(api.Unavailable) as away:
                await client.claim()
            assert away.value.code == "frozen" and away.value.retry_after_s == 60
            with pytest.raises(api.RateLimited) as limited:
                await client.claim()
            assert limited.value.retry_after_s is not None
            with pytest.raises(api.ApiFault, match="unknown_claim"):
                await client.claim_now(99)
    async with Client("http://127.0.0.1:9") as nobody:
        with pytest.raises(api.Unreachable):
            await nobody.me()


async def test_a_claim_that_does_not_end_in_time_says_so(site: ClaimsSite) -> None:
    claim = await site.world.viewer_with_claim(7)
    async with Client(site.base, await cookie(site, 7)) as client:
        with pytest.raises(TimeoutError):
            await client.until_done(await client.claim_now(claim.claim_id), timeout_s=0.2)


async def test_the_documented_example_runs(site: ClaimsSite, capsys: pytest.CaptureFixture[str]) -> None:
    await site.world.hours(7, count=2)
    await site.world.bind(7)
    [source] = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    names: dict[str, object] = {"__name__": "example"}
    exec(compile(source, str(DOCS), "exec"), names)
    main = names["main"]
    assert callable(main)
    running = asyncio.create_task(main(site.base, await cookie(site, 7)))

    async def paid() -> bool:
        return bool(await site.world.owner.fetchval("select bool_and(state = 'confirmed') from claims.claims"))

    await site.payer.until(paid)
    await running
    assert "161.6 CHAT" in capsys.readouterr().out
