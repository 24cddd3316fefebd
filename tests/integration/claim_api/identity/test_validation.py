"""The hour: tokens validated while their sessions live, renewed when they expire, sessions ended when taken back."""

import asyncio
from typing import Any

import pytest

from claim_api.identity import validation as validation_module
from tests.integration.claim_api.identity.conftest import Serve, Site

LATE = "twzrd_web_validation_late_seconds"


@pytest.fixture(autouse=True)
def no_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_module, "GAP_S", 0.0)


async def later(site: Site, hours: int) -> None:
    """As if nobody had validated for so long."""
    await site.sql("update claims.sessions set validated_at = now() - make_interval(hours => $1)", hours)
    site.validation._paused.clear()


async def test_within_the_hour_twitch_is_not_asked(site: Site) -> None:
    await site.browser().sign_in("ann")
    site.twitch.state.requests.clear()
    await site.validation.round()
    assert list(site.twitch.state.requests) == []


async def test_after_the_hour_it_is_asked_once(site: Site) -> None:
    await site.browser().sign_in("ann")
    await later(site, 2)
    site.twitch.state.requests.clear()
    await site.validation.round()
    await site.validation.round()
    assert list(site.twitch.state.requests) == ["validate"]
    assert (await site.sql("select now() - validated_at < '1 min' as fresh from claims.sessions"))[0]["fresh"]


async def test_who_disconnects_at_twitch_is_signed_out_here(site: Site) -> None:
    ann, bob = site.browser(), site.browser()
    await ann.sign_in("ann")
    await bob.sign_in("bob")
    site.twitch.state.disconnect("5")
    await later(site, 2)
    await site.validation.round()
    assert [(await one.get("/v1/me")).status for one in (ann, bob)] == [401, 200]
    rows = await site.sql("select revoked_because from claims.sessions where viewer_key = 5")
    assert rows[0]["revoked_because"] == "revoked at Twitch"


async def test_an_access_token_that_is_over_is_renewed(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    for _ in range(2):
        site.twitch.state.expire_tokens()
        await later(site, 5)
        await site.validation.round()
        assert (await browser.get("/v1/me")).status == 200
    assert site.counters.counts["validations", "renewed"] == 2
    await later(site, 2)
    await site.validation.round()
    assert site.counters.counts["validations", "good"] == 1


async def test_a_login_renamed_at_twitch_is_renamed_here(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.twitch.state.rename("5", "ann_new")
    await later(site, 2)
    await site.validation.round()
    assert [row["login"] for row in await site.sql("select login from claims.twitch_users")] == ["ann_new"]
    (row,) = await site.sql("select subject, detail from claims.audit_log where action = 'rename viewer'")
    assert row["subject"] == "twitch:id:5" and "ann_new" in row["detail"]


@pytest.mark.parametrize("fault", [429, 500, "garbage", 403])
async def test_while_twitch_is_not_well_sessions_stay_for_a_day(site: Site, fault: int) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    await later(site, 2)
    site.twitch.state.fail("validate", fault)
    await site.validation.round()
    assert (await browser.get("/v1/me")).status == 200
    site.twitch.state.requests.clear()
    await site.validation.round()
    assert list(site.twitch.state.requests) == [], "left alone for a while"
    await later(site, 25)
    site.twitch.state.fail("validate", fault)
    await site.validation.round()
    assert (await browser.get("/v1/me")).status == 401
    assert (await site.sql("select revoked_because as b from claims.sessions"))[0]["b"] == "not validated"


async def test_a_renewal_that_twitch_cannot_do_now_ends_nothing(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.twitch.state.expire_tokens()
    await later(site, 2)
    site.twitch.state.fail("token", 500)
    await site.validation.round()
    assert (await browser.get("/v1/me")).status == 200
    await later(site, 2)
    await site.validation.round()
    assert site.counters.counts["validations", "renewed"] == 1


async def test_three_failures_in_a_row_end_the_round(site: Site) -> None:
    for n in range(6):
        await site.browser().sign_in(f"user{n}")
    await later(site, 2)
    site.twitch.state.requests.clear()
    site.twitch.state.fail("validate", *[500] * 6)
    await site.validation.round()
    assert len(site.twitch.state.requests) == validation_module.FAILURES


async def test_a_token_that_was_made_for_somebody_else_ends_the_session(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.twitch.state.client_id = "another"
    await later(site, 2)
    await site.validation.round()
    assert (await browser.get("/v1/me")).status == 401


def _together(barrier: asyncio.Barrier, renew: Any) -> Any:
    """Both processes have been told that the token is over before either renews it."""

    async def wait_then_renew(*args: Any) -> Any:
        await barrier.wait()
        return await renew(*args)

    return wait_then_renew


async def test_two_processes_renew_a_token_once(serve: Serve) -> None:
    async with serve() as here, serve() as there:
        browser = here.browser()
        await browser.sign_in("ann")
        here.twitch.state.expire_tokens()
        await later(here, 2)
        both_refused = asyncio.Barrier(2)
        for site in (here, there):
            site.validation._renew = _together(both_refused, site.validation._renew)  # type: ignore[method-assign]
        await asyncio.gather(here.validation.round(), there.validation.round())
        outcomes = here.counters.counts + there.counters.counts
        assert outcomes["validations", "renewed"] == 1 and outcomes["validations", "revoked"] == 0
        assert (await browser.get("/v1/me")).status == 200


async def test_a_token_that_cannot_be_handed_back_is_tried_for_an_hour(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.twitch.state.fail("revoke", 500, 500, 500)
    await browser.post("/auth/sign-out")
    await site.validation.round()
    await site.validation.round()
    assert (await site.sql("select token_sealed is null as gone from claims.sessions"))[0]["gone"] is False
    await site.sql("update claims.sessions set revoked_at = now() - interval '2 h'")
    await site.validation.round()
    assert (await site.sql("select token_sealed is null as gone from claims.sessions"))[0]["gone"] is True


async def test_what_is_over_is_cleared_away(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    await browser.to_twitch()
    await site.sql("update claims.sign_in_states set expires_at = now() - interval '1 s'")
    await site.sql("update claims.sessions set expires_at = now() - interval '31 days'")
    await site.validation.round()
    assert await site.sql("select 1 from claims.sign_in_states union all select 1 from claims.sessions") == []


async def test_signing_out_wakes_the_loop(serve: Serve) -> None:
    async with serve() as site:
        handed = asyncio.Event()
        revoke = site.validation._twitch.revoke

        async def noted(grant: object) -> None:
            await revoke(grant)  # type: ignore[arg-type]
            handed.set()

        site.validation._twitch.revoke = noted  # type: ignore[method-assign]
        browser = site.browser()
        await browser.sign_in("ann")
        await browser.post("/auth/sign-out")
        await asyncio.wait_for(handed.wait(), 10)


async def until_asked(site: Site, times: int) -> None:
    """The loop, woken once, asks Twitch so many times."""
    asked, enough = [0], asyncio.Event()
    validate = site.validation._twitch.validate

    async def noted(grant: Any) -> Any:
        asked[0] += 1
        if asked[0] == times:
            enough.set()
        return await validate(grant)

    site.validation._twitch.validate = noted  # type: ignore[method-assign]
    site.validation.wake()
    await asyncio.wait_for(enough.wait(), 10)


async def test_after_a_full_round_there_is_no_rest(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_module, "ROUND", 3)
    async with serve() as site:  # which looks once an hour
        for _ in range(8):
            await site.browser().sign_in("ann")
        await later(site, 2)
        await until_asked(site, 8)


async def test_too_many_requests_end_the_round_and_rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validation_module, "ROUND", 3)
    for _ in range(8):
        await site.browser().sign_in("ann")
    await later(site, 2)
    site.twitch.state.requests.clear()
    site.twitch.state.fail("validate", 429)
    assert await site.validation.round() is False
    assert list(site.twitch.state.requests) == ["validate"]
    assert await site.validation.round() is True


async def test_tokens_that_are_left_alone_do_not_stand_before_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation_module, "ROUND", 2)
    for _ in range(4):
        await site.browser().sign_in("ann")
    await later(site, 2)
    site.twitch.state.fail("validate", 500, 500)
    assert await site.validation.round() is True
    await site.validation.round()
    assert site.counters.counts["validations", "good"] == 2


async def test_how_late_the_oldest_validation_is_can_be_watched(site: Site) -> None:
    def late_s() -> float:
        (found,) = [one.samples[0].value for one in site.counters.collect() if one.name == LATE]
        return found

    await site.validation.round()
    assert late_s() == 0, "nobody is signed in"
    await site.browser().sign_in("ann")
    await later(site, 3)
    site.twitch.state.fail("validate", 500)
    await site.validation.round()
    assert 7_200 <= late_s() < 7_260
    await later(site, 3)
    await site.validation.round()
    assert late_s() == 0
