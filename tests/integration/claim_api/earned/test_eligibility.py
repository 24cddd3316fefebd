"""What a viewer has earned: pages, totals, states, weeks, proofs; private, never out of date, never writing."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pytest

from claim_api.eligibility import shown
from claim_api.errors import ApiError
from claim_api.ledger.rows import AllocationKey
from claim_api.limits import RATES, Rate
from schemas.bundle import Absence, Presence, decode
from schemas.seal import decode_header, epoch_key, epoch_tag, viewer_key, viewer_ref
from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.hours import CHANNEL, PEPPER, T0_S, sealed_hour, viewers_of
from tests.seals import seal_of, viewers

TABLES = ("claims.claims", "claims.claim_allocations", "claims.audit_log", "viewer_epochs", "claims.sessions")


def states(said: Any) -> dict[int, str]:
    return {one["epoch_start_s"]: one["state"] for one in said.json["allocations"]}


async def test_an_allocation_has_every_field_of_the_contract(site: ClaimsSite) -> None:
    await site.world.hours(7, count=2)
    found = (await (await site.browser(7)).get("/v1/eligibility")).json
    assert found["viewer"] == "twitch:id:7"
    assert found["next_before"] is None
    newest = found["allocations"][0]
    assert newest == {
        "seal_id": newest["seal_id"],
        "channel": CHANNEL,
        "login": "forsen",
        "epoch_start_s": T0_S + 3600,
        "revision": 0,
        "leaf_index": 0,
        "weight_centi": "101",
        "base_units": "80800000000",
        "display": "80.8",
        "state": "claimable",
        "stopped": False,
        "claim_id": None,
        "observed_ms": 3_600_000,
        "absent_ms": 0,
        "epoch_length_s": 3600,
        "proof": f"/v1/me/proof?channel={CHANNEL}&epoch={T0_S + 3600}&revision=0",
        "evidence": f"/v1/epochs/{CHANNEL}/{T0_S + 3600}?revision=0",
    }
    both = {"base_units": "161600000000", "display": "161.6"}
    none = {"base_units": "0", "display": "0"}
    assert found["totals"] == {"entitled": both, "claimed": none, "pending": none, "claimable": both}
    assert (await site.stranger.get(newest["evidence"])).status == 200


async def test_pages_hold_every_allocation_once(site: ClaimsSite) -> None:
    await site.world.hours(7, count=7)
    browser, seen, before = await site.browser(7), [], ""
    while True:
        page = (await browser.get(f"/v1/eligibility?limit=3{before}")).json
        seen += [one["epoch_start_s"] for one in page["allocations"]]
        if page["next_before"] is None:
            break
        before = f"&before={page['next_before']}"
    assert seen == [T0_S + 3600 * n for n in reversed(range(7))]


async def test_states_follow_the_claim_at_once(site: ClaimsSite) -> None:
    await site.world.hours(7, count=3)
    await site.world.bind(7)
    browser = await site.browser(7)
    assert set(states(await browser.get("/v1/eligibility")).values()) == {"claimable"}
    claim = await site.world.reserve(7, [AllocationKey(CHANNEL, T0_S, 0), AllocationKey(CHANNEL, T0_S + 3600, 0)])
    pending = await browser.get("/v1/eligibility")
    assert states(pending) == {T0_S: "pending", T0_S + 3600: "pending", T0_S + 7200: "claimable"}
    assert {one["claim_id"] for one in pending.json["allocations"]} == {claim.claim_id, None}
    assert pending.json["totals"]["pending"]["base_units"] == str(claim.amount_base_units)
    await site.payer.until_confirmed(claim)
    claimed = await browser.get("/v1/eligibility")
    assert states(claimed) == {T0_S: "claimed", T0_S + 3600: "claimed", T0_S + 7200: "claimable"}
    assert claimed.json["totals"]["claimed"]["base_units"] == str(claim.amount_base_units)
    assert claimed.json["totals"]["claimable"]["base_units"] == "80800000000"


async def test_a_new_seal_a_revision_and_a_stop_are_seen_at_once(site: ClaimsSite) -> None:
    await site.world.hours(7)
    browser = await site.browser(7)
    assert len((await browser.get("/v1/eligibility")).json["allocations"]) == 1
    await site.world.seal(seal_of(viewers(7), messages=[30], revision=1))
    revised = (await browser.get("/v1/eligibility")).json["allocations"]
    assert [(one["revision"], one["base_units"]) for one in revised] == [(1, "23200000000"), (0, "80800000000")]
    await site.world.owner.execute(
        "insert into stopped_channels values ($1, $2, 0, ''::bytea, ''::bytea, 0, 0)", CHANNEL, T0_S
    )
    stopped = (await browser.get("/v1/eligibility")).json
    assert all(one["stopped"] for one in stopped["allocations"])
    assert stopped["totals"]["claimable"]["base_units"] == "0"
    assert (await browser.get(f"/api/eligibility?channel=forsen&epoch={T0_S}")).json["reason"] == "CHANNEL_STOPPED"


async def test_tables_put_in_the_place_of_old_ones_are_seen_at_once(site: ClaimsSite) -> None:
    """As a rebuild does it: same number of rows, same newest seal."""
    await site.world.hours(7)
    browser = await site.browser(7)
    assert (await browser.get("/v1/eligibility")).json["allocations"][0]["weight_centi"] == "101"
    statements = (
        "create table swapped (like viewer_epochs including all)",
        "insert into swapped select viewer_key, 200, seal_id, leaf_index, increase_base_units from viewer_epochs",
        "grant select on swapped to twzrd_web",
        "drop view claimable_allocations, channel_participation, sealed_participants",
        "drop table viewer_epochs",
        "alter table swapped rename to viewer_epochs",
    )
    views = await site.world.owner.fetchval("select pg_get_viewdef('claimable_allocations'::regclass)")
    async with site.world.owner.transaction():
        for statement in statements:
            await site.world.owner.execute(statement)
        await site.world.owner.execute(f"create view claimable_allocations as {views}")
        await site.world.owner.execute("grant select on claimable_allocations to twzrd_web")
    assert (await browser.get("/v1/eligibility")).json["allocations"][0]["weight_centi"] == "200"


async def test_nobody_sees_anothers(site: ClaimsSite) -> None:
    await site.world.hours(7)
    assert (await (await site.browser(8)).get("/v1/eligibility")).json["allocations"] == []
    for path in ("/v1/eligibility", "/v1/eligibility/weeks", f"/v1/me/proof?channel={CHANNEL}&epoch={T0_S}"):
        said = await site.stranger.get(path)
        assert said.status == 401 and said.json["code"] == "sign_in_required"
        assert (await (await site.browser(7)).get(path)).headers["cache-control"] == "no-store"


async def test_a_get_writes_nothing_and_could_not(site: ClaimsSite) -> None:
    await site.world.seal(sealed_hour(viewers_of(3)))
    await site.world.bind(1000)
    browser = await site.browser(1000)

    async def counts() -> list[int]:
        return [await site.world.owner.fetchval(f"select count(*) from {table}") for table in TABLES]

    before = await counts()
    for path in (
        "/v1/eligibility",
        "/v1/eligibility/weeks",
        f"/v1/me/proof?channel={CHANNEL}&epoch={T0_S}",
        f"/api/eligibility?channel=forsen&epoch={T0_S}",
        "/v1/stats",
        f"/v1/wallets/{site.world.wallets[1000].pubkey()}/claimable",
        "/v1/actions/claim",
    ):
        assert (await browser.get(path)).status == 200, path
    assert await counts() == before
    insert = "insert into claims.audit_log (actor, action, subject) values ('a', 'b', 'c')"
    for write in (site.reading.execute, _in_snapshot(site)):
        with pytest.raises(ApiError) as caught:
            await write(insert)
        assert isinstance(caught.value.__cause__, asyncpg.ReadOnlySQLTransactionError)
    await site.database.execute(insert)  # the same role may write on its other connections


def _in_snapshot(site: ClaimsSite) -> Any:
    async def write(statement: str) -> None:
        async with site.reading.snapshot() as connection:
            await connection.execute(statement)

    return write


async def test_weeks_begin_on_monday_and_are_always_twenty_six(
    site: ClaimsSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claim_api.eligibility.pages.time.time", lambda: float(T0_S + 7 * 86_400))
    await site.world.hours(7, count=2)
    await site.world.seal(seal_of(viewers(7), messages=[30], revision=1))
    weeks = (await (await site.browser(7)).get("/v1/eligibility/weeks")).json["weeks"]
    assert len(weeks) == shown.WEEKS
    assert {(one["week_start_s"] - 4 * 86_400) % (7 * 86_400) for one in weeks} == {0}
    assert [b["week_start_s"] - a["week_start_s"] for a, b in pairwise(weeks)] == [604_800] * 25
    full = [one for one in weeks if one["hours"]]
    assert [(one["hours"], one["observed_ms"], one["base_units"]) for one in full] == [(2, 7_200_000, "184800000000")]
    assert full == weeks[-2:-1] and full[0]["week_start_s"] <= T0_S < full[0]["week_start_s"] + 604_800


async def test_the_own_proof_opens_the_leaf_and_verifies(site: ClaimsSite) -> None:
    sealed = sealed_hour(viewers_of(5))
    await site.world.seal(sealed)
    said = await (await site.browser(1002)).get(f"/v1/me/proof?channel=forsen&epoch={T0_S}&revision=0")
    bundle = decode(said.body)
    assert isinstance(bundle, Presence) and bundle.viewer is not None
    assert bundle.viewer.identity == "twitch:id:1002"
    key = epoch_key(viewer_key("twitch:id:1002", PEPPER), epoch_tag(CHANNEL, T0_S))
    assert bundle.viewer.epoch_key == key.hex()
    assert viewer_ref("twitch:id:1002", key).hex() in bundle.leaf
    assert decode_header(bytes.fromhex(bundle.seal)).root == sealed.header.root
    absent = decode((await (await site.browser(77)).get(f"/v1/me/proof?channel=forsen&epoch={T0_S}")).body)
    assert isinstance(absent, Absence) and absent.viewer is not None


async def test_what_is_asked_wrongly_is_named(site: ClaimsSite) -> None:
    browser = await site.browser(7)
    for path, word in (
        ("/v1/eligibility?limit=0", "limit"),
        ("/v1/eligibility?limit=1001", "limit"),
        ("/v1/eligibility?before=-1", "before"),
        ("/v1/eligibility?viewer=8", "viewer"),
        ("/v1/eligibility/weeks?x=1", "x"),
        ("/v1/me/proof?epoch=1", "channel"),
        ("/v1/me/proof?channel=forsen&epoch=x", "epoch"),
    ):
        said = await browser.get(path)
        assert said.status == 400 and word in said.json["message"], path
    assert (await browser.get(f"/v1/me/proof?channel=nobody&epoch={T0_S}")).json["code"] == "unknown_channel"


async def test_look_ups_that_come_together_are_one_query(site: ClaimsSite) -> None:
    await site.world.hours(*range(1, 41))
    browsers = [await site.browser(key) for key in range(1, 41)]
    for browser in browsers:
        await browser.get("/api/auth/me")  # the session is known
    counts = site.counters.counts
    said = await asyncio.gather(*(browser.get(f"/api/eligibility?channel=forsen&epoch={T0_S}") for browser in browsers))
    assert [orjson.loads(one.body)["username"] for one in said] == [f"n{key}" for key in range(1, 41)]
    assert counts["eligibility_hours", "asked"] == 40
    assert counts["eligibility_hours", "queries"] < 20


async def test_reads_are_limited_by_session(claims: ClaimsWorld, tmp_path: Path) -> None:
    async with claims_site(claims, tmp_path, rates={**RATES, "read": Rate(2, 1)}) as site:
        browser = await site.browser(7)
        assert [(await browser.get("/v1/eligibility")).status for _ in range(3)] == [200, 200, 429]
