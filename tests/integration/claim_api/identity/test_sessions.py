"""Sessions: forged, over, revoked here and elsewhere; what changes state and who may ask for it."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from claim_api.identity import sessions as sessions_module
from claim_api.identity.session_key import SessionKey
from tests.integration.claim_api.identity.conftest import Browser, Serve, Site, web_dsn

OTHER_KEY = SessionKey([b"\x09" * 32])


def session_of(browser: Browser, site: Site) -> str:
    name = site.sessions.cookie.name
    return next(cookie.value for cookie in browser.session.cookie_jar if cookie.key == name)


async def ask_with(site: Site, *values: str) -> tuple[int, str]:
    """What /v1/me says to a browser that sends these session cookies."""
    header = "; ".join(f"{site.sessions.cookie.name}={value}" for value in values)
    reply = await site.browser().get("/v1/me", headers={"cookie": header})
    return reply.status, reply.json.get("code", reply.json.get("login"))


async def test_a_forged_cookie_never_reaches_the_database(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    good = session_of(browser, site)
    secret, mac = good.split(".")
    other = urlsafe_b64encode(b"\x01" * 32).rstrip(b"=").decode()
    forged = [
        OTHER_KEY.sign(site.sessions.cookie.name, b"\x01" * 32),
        f"{other}.{mac}",
        f"{secret}.{mac[:-1]}{'A' if mac[-1] != 'A' else 'B'}",
        secret,
        f"{secret}.",
        f"{good}.{mac}",
        good + "=",
        "é.é",
        "",
        # Signed by us, but for the other cookie.
        SessionKey([b"\x05" * 32]).sign("twzrd-browser", b"\x01" * 32),
    ]
    asked = site.database.fetchrow

    async def none(*_: object) -> None:
        raise AssertionError("the database was asked")

    site.database.fetchrow = none  # type: ignore[method-assign, assignment]
    for value in forged:
        assert await ask_with(site, value) == (401, "sign_in_required"), value
    site.database.fetchrow = asked  # type: ignore[method-assign]
    assert await ask_with(site, good) == (200, "ann")


async def test_of_two_different_cookies_none_counts(site: Site) -> None:
    ann, bob = site.browser(), site.browser()
    await ann.sign_in("ann")
    await bob.sign_in("bob")
    hers, his = session_of(ann, site), session_of(bob, site)
    assert await ask_with(site, hers, his) == (401, "sign_in_required")
    assert await ask_with(site, hers, hers) == (200, "ann")


async def test_a_session_ends_with_its_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "CACHE_S", 0.0)
    async with serve() as site:
        browser = site.browser()
        await browser.sign_in("ann")
        assert (await browser.get("/v1/me")).status == 200
        await site.sql("update claims.sessions set expires_at = now()")
        assert (await browser.get("/v1/me")).status == 401


async def test_a_remembered_session_ends_with_its_time_too(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    ((session_hash, (viewer, until_s)),) = site.sessions._cache.items()
    site.sessions._cache[session_hash] = replace(viewer, expires_at=datetime.now(UTC)), until_s
    await site.sql("update claims.sessions set expires_at = now()")
    assert (await browser.get("/v1/me")).status == 401


async def test_a_revocation_in_this_process_holds_at_once_though_sessions_are_remembered(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    async with site.database.transaction() as connection:
        ended = await site.sessions.revoke_all(connection, 5, "test")
        # Whoever looks between the change and its commit sees what stood before, but it is not remembered.
        assert (await browser.get("/v1/me")).status == 200
    assert ended == 1
    assert (await browser.get("/v1/me")).status == 401


async def test_a_revocation_that_is_rolled_back_ends_nothing(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    with pytest.raises(RuntimeError):
        async with site.database.transaction() as connection:
            await site.sessions.revoke_all(connection, 5, "test")
            raise RuntimeError
    assert (await browser.get("/v1/me")).status == 200


async def test_another_processs_revocation_is_known_when_memory_ends(serve: Serve) -> None:
    now_s = [1000.0]
    async with serve() as here, serve() as there:
        here.sessions._clock_s = lambda: now_s[0]
        browser = here.browser()
        await browser.sign_in("ann")
        assert (await browser.get("/v1/me")).status == 200
        async with there.database.transaction() as connection:
            await there.sessions.revoke_all(connection, 5, "test")
        now_s[0] += sessions_module.CACHE_S - 0.01
        assert (await browser.get("/v1/me")).status == 200, "so long it may be remembered"
        now_s[0] += 0.02
        assert (await browser.get("/v1/me")).status == 401
    assert sessions_module.CACHE_S <= 5


async def test_memory_is_bounded(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions_module, "MAX_CACHED", 3)
    browsers = [site.browser() for _ in range(5)]
    for n, browser in enumerate(browsers):
        await browser.sign_in(f"user{n}")
    assert len(site.sessions._cache) == 3
    async with site.database.transaction() as connection:
        for viewer_key in range(1, 9):
            await site.sessions.revoke_all(connection, viewer_key, "test")
    assert len(site.sessions._barriers) == 3
    assert (await browsers[0].get("/v1/me")).status == 200
    assert len(site.sessions._cache) <= 3


@pytest.mark.parametrize(
    "headers",
    [
        {"x_csrf_token": ""},
        {"x_csrf_token": "A" * 43},
        {"x_csrf_token": "é"},
        {"origin": "https://evil.example"},
        {"origin": "null", "sec_fetch_site": ""},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
    ],
)
async def test_a_change_wants_the_token_and_our_own_page(site: Site, headers: dict[str, str]) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    for path in ("/auth/sign-out", "/v1/opt-out", "/v1/wallet", "/v1/wallet/challenge"):
        reply = await browser.post(path, **headers)
        assert (reply.status, reply.json["code"]) == (403, "csrf"), (path, headers)
    assert (await browser.get("/v1/me")).status == 200
    assert site.opted_out == []


async def test_anothers_token_is_no_token(site: Site) -> None:
    ann, bob = site.browser(), site.browser()
    await ann.sign_in("ann")
    await bob.sign_in("bob")
    assert (await ann.post("/auth/sign-out", x_csrf_token=bob.csrf)).status == 403
    assert (await ann.post("/auth/sign-out")).status == 204


async def test_opting_out_says_it_and_ends_all_sessions(site: Site) -> None:
    here, there, other = site.browser(), site.browser(), site.browser()
    await here.sign_in("ann")
    await there.sign_in("ann")
    await other.sign_in("bob")
    reply = await here.post("/v1/opt-out")
    assert (reply.status, reply.json) == (202, {"viewer": "twitch:id:5", "opted_out": True})
    assert site.opted_out == ["twitch:id:5"]
    assert [(await one.get("/v1/me")).status for one in (here, there, other)] == [401, 401, 200]
    rows = await site.sql("select action from claims.audit_log where subject = 'twitch:id:5' order by audit_id")
    assert [row["action"] for row in rows][-2:] == ["opt out", "end sessions"]
    await site.validation.round()
    assert site.twitch.state.open_tokens() == 1, "bob's"


async def test_an_opt_out_that_the_log_does_not_take_ends_nothing(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.log_is_away = True
    reply = await browser.post("/v1/opt-out")
    assert (reply.status, reply.json["code"], site.opted_out) == (503, "log_away", [])
    assert (await browser.get("/v1/me")).status == 200


async def test_the_web_role_writes_its_own_and_nothing_else(site: Site) -> None:
    await site.browser().sign_in("ann")
    refused = [
        "insert into claims.user_wallets (viewer_key, wallet, effective_at, message, signature, form) "
        "values (5, 'w', now(), '', '', 'siws')",
        "update claims.user_wallets set wallet = 'x'",
        "delete from claims.user_wallets",
        "update claims.audit_log set actor = 'x'",
        "delete from claims.audit_log",
        "update claims.switches set frozen = false",
        "update claims.binding_rule set change_wait_s = 0",
        "insert into claims.signer_claims values (1, 5, 'w', 1, 'm', 's', now())",
        "insert into claims.attempts (claim_id, attempt) values (1, 1)",
        "update claims.claims set state = 'confirmed'",
        "insert into viewer_keys (identity) values ('twitch:login:x')",
        "delete from claims.twitch_users",
    ]
    for statement in refused:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _as_web(site, statement)


async def _as_web(site: Site, statement: str) -> None:
    connection = await asyncpg.connect(web_dsn(site.dsn))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
