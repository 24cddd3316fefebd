"""What anybody may know: everybody's sums, a wallet's sums, the newest hour, a proof by its index."""

from pathlib import Path

from solders.keypair import Keypair

from claim_api.ledger.rows import AllocationKey
from claim_api.limits import RATES, Rate
from schemas.bundle import Presence, decode
from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.hours import CHANNEL, T0_S, sealed_hour, viewers_of

ONE = {"base_units": "80800000000", "display": "80.8"}
TWO = {"base_units": "161600000000", "display": "161.6"}
NONE = {"base_units": "0", "display": "0"}


async def test_a_wallet_is_answered_with_sums_only(site: ClaimsSite) -> None:
    await site.world.hours(7, 8, count=2)
    wallet = await site.world.bind(7)
    path = f"/v1/wallets/{wallet.pubkey()}/claimable"
    assert (await site.stranger.get(path)).json == {
        "wallet": str(wallet.pubkey()),
        "totals": {"entitled": TWO, "claimed": NONE, "pending": NONE, "claimable": TWO},
    }
    await site.world.reserve(7, [AllocationKey(CHANNEL, T0_S, 0)])
    assert (await site.stranger.get(path)).json["totals"]["pending"] == ONE
    nobodys = (await site.stranger.get(f"/v1/wallets/{Keypair().pubkey()}/claimable")).json
    assert set(map(str, nobodys["totals"].values())) == {str(NONE)}
    wrong = await site.stranger.get("/v1/wallets/0x12/claimable")
    assert (wrong.status, wrong.json["code"]) == (400, "invalid_wallet")


async def test_a_wallet_that_was_replaced_has_nothing(site: ClaimsSite) -> None:
    await site.world.hours(7)
    await site.world.owner.execute("update claims.binding_rule set change_wait_s = 0")
    old, new = await site.world.bind(7), await site.world.bind(7)
    for wallet, expected in ((old, NONE), (new, ONE)):
        said = await site.stranger.get(f"/v1/wallets/{wallet.pubkey()}/claimable")
        assert said.json["totals"]["claimable"] == expected


async def test_strangers_are_limited_by_address(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, rates={**RATES, "public": Rate(2, 1)}) as site:
        path = f"/v1/wallets/{Keypair().pubkey()}/claimable"
        assert [(await site.stranger.get(path)).status for _ in range(3)] == [200, 200, 429]
        assert (await site.stranger.get("/v1/stats")).status == 429


async def test_stats_sum_the_newest_revisions(site: ClaimsSite) -> None:
    await site.world.hours(7, 8, count=2)
    await site.world.bind(7)
    await site.payer.until_confirmed(await site.world.reserve(7))
    assert (await site.stranger.get("/v1/stats")).json == {
        "channels": 1,
        "epochs": 2,
        "participations": 4,
        "weight_centi": "404",
        "newest_epoch_start_s": T0_S + 3600,
        "claims": {"confirmed": 1, "claimed": TWO, "pending": NONE},
    }


async def test_the_newest_hour_and_a_proof_by_index(site: ClaimsSite) -> None:
    assert (await site.stranger.get("/v1/epochs/latest")).json["code"] == "no_epoch"
    await site.world.seal(sealed_hour(viewers_of(5)), sealed_hour(viewers_of(9), epoch_start_s=T0_S + 3600))
    newest = (await site.stranger.get("/v1/epochs/latest")).json
    assert (newest["epoch_start_s"], newest["leaf_count"]) == (T0_S + 3600, 9)
    path = f"/v1/epochs/{CHANNEL}/{T0_S}/proof"
    leaves = []
    for index in range(5):
        bundle = decode((await site.stranger.get(f"{path}?index={index}&revision=0")).body)
        assert isinstance(bundle, Presence) and bundle.viewer is None
        leaves.append(bundle.leaf)
    assert leaves == sorted(leaves) and len(set(leaves)) == 5
    beyond = await site.stranger.get(f"{path}?index=5")
    assert (beyond.status, beyond.json["code"]) == (404, "unknown_leaf")
    assert (await site.stranger.get(f"{path}?index=1&ref={'ab' * 32}")).status == 400
