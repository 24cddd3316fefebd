"""Signing in with Twitch: one way in, and every way that must not be one."""

import asyncio
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from claim_api.identity.session_key import SessionKey
from claim_api.identity.sign_in import OUTCOMES
from claim_api.identity.twitch import ClientCredentials
from infra.twitch_login.state import Fault
from tests.integration.claim_api.identity.conftest import Reply, Serve, Site


def outcome(reply: Reply) -> str:
    """The code at the return path, whose words for people are in the body."""
    assert reply.status == 303, reply.body
    code = parse_qs(urlsplit(reply.location).query)["sign_in"][0]
    assert reply.json["code"] == code and reply.json["message"] == OUTCOMES[code][0]
    assert "set-cookie" not in reply.headers
    return code


async def test_a_viewer_signs_in_and_is_known_by_id(site: Site) -> None:
    browser = site.browser()
    assert (await browser.get("/api/auth/me")).json == {"authenticated": False, "user": None}
    reply = await browser.sign_in("ann", "/rewards?week=3")
    assert (reply.status, reply.location) == (303, "/rewards?week=3")
    me = (await browser.get("/v1/me")).json
    assert (me["viewer"], me["login"], me["display_name"]) == ("twitch:id:5", "ann", "Ann")
    assert (me["wallet"], me["next_wallet"], me["mint"], me["frozen"]) == (None, None, None, False)
    assert (await browser.get("/api/auth/me")).json == {
        "authenticated": True,
        "user": {"id": "5", "login": "ann", "display_name": "Ann"},
    }


async def test_the_cookie_is_out_of_reach_and_the_database_knows_hashes_only(site: Site) -> None:
    browser = site.browser()
    reply = await browser.sign_in("ann")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie and "Domain" not in cookie
    secret = cookie.split("=", 1)[1].split(".")[0]
    (row,) = await site.sql("select * from claims.sessions")
    assert secret.encode() not in bytes(row["session_hash"]) and row["viewer_key"] == 5
    (token,) = site.twitch.state._tokens
    assert token.encode() not in bytes(row["token_sealed"])


async def test_over_https_the_cookies_are_the_hosts_own_and_secure(serve: Serve) -> None:
    async with serve(public_url="https://rewards.example") as site:
        browser = site.browser()
        asked = await browser.get("/auth/twitch/login")
        cookie = asked.headers["set-cookie"]
        assert cookie.startswith("__Host-twzrd-browser=") and "; Secure" in cookie
        query = parse_qs(urlsplit(asked.location).query)
        assert query["redirect_uri"] == ["https://rewards.example/auth/twitch/callback"]
        assert site.sessions.cookie.name == "__Host-twzrd-session" and site.sessions.cookie.secure


@pytest.mark.parametrize("path", ["/auth/twitch/login", "/api/auth/twitch/login"])
async def test_both_doors_lead_to_twitch_with_the_exact_address(site: Site, path: str) -> None:
    reply = await site.browser().get(path)
    query = parse_qs(urlsplit(reply.location).query, keep_blank_values=True)
    assert reply.status == 302 and reply.location.startswith(site.twitch.id_url + "/authorize?")
    assert query["redirect_uri"] == [f"{site.base}/auth/twitch/callback"]
    assert (query["response_type"], query["scope"]) == (["code"], [""])
    assert len(query["state"][0]) == 43


async def test_a_form_may_begin_it_from_our_page_only(site: Site) -> None:
    ours = site.browser()
    reply = await ours.ask("POST", "/auth/twitch/login?return=/x", headers={"sec-fetch-site": "same-origin"})
    assert reply.status == 303
    # A page with referrer-policy no-referrer sends this of itself.
    null = {"sec-fetch-site": "same-origin", "origin": "null"}
    assert (await ours.ask("POST", "/auth/twitch/login", headers=null)).status == 303
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}, {"origin": "null"}):
        refused = await ours.ask("POST", "/auth/twitch/login", headers=headers)
        assert (refused.status, refused.json["code"]) == (403, "csrf"), headers


async def test_a_code_of_twitch_is_good_once(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    code = parse_qs(urlsplit(back).query)["code"][0]
    assert "sign_in" not in (await browser.get(back)).location
    state = parse_qs(urlsplit(await browser.to_twitch()).query)["state"][0]
    assert outcome(await browser.get(f"/auth/twitch/callback?code={code}&state={state}")) == "expired"


async def test_a_code_that_is_too_old_ends_at_the_return_path(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch("/rewards"), "ann")
    site.twitch.state.expire_codes()
    reply = await browser.get(back)
    assert outcome(reply) == "expired" and reply.location == "/rewards?sign_in=expired"


async def test_a_state_is_good_once_and_only_if_it_is_ours(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    assert "sign_in" not in (await browser.get(back)).location
    assert outcome(await browser.get(back)) == "state"
    for state in ("", "A" * 43, "x", "%00", "A" * 44):
        assert outcome(await browser.get(f"/auth/twitch/callback?code=c&state={state}")) == "state"
    assert outcome(await browser.get("/auth/twitch/callback")) == "state"
    assert outcome(await browser.get("/auth/twitch/callback?state=a&state=b")) == "state"
    assert outcome(await browser.get("/auth/twitch/callback?state=%FF&code=c")) == "state"


async def test_a_state_ends_after_ten_minutes(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    await site.sql("update claims.sign_in_states set expires_at = now() - interval '1 s'")
    assert outcome(await browser.get(back)) == "state"


async def test_nobody_is_signed_in_by_anothers_state(site: Site) -> None:
    """Login CSRF: the attacker's callback, opened in the victim's browser."""
    attacker, victim = site.browser(), site.browser()
    theirs = await attacker.choose(await attacker.to_twitch(), "bob")
    assert outcome(await victim.get(theirs)) == "state"
    await victim.to_twitch()  # with a cookie of their own it is no better
    theirs = await attacker.choose(await attacker.to_twitch(), "bob")
    assert outcome(await victim.get(theirs)) == "state"
    assert (await victim.get("/api/auth/me")).json["authenticated"] is False
    assert (await site.sql("select count(*) as n from claims.sessions"))[0]["n"] == 0


async def test_two_tabs_sign_in_side_by_side(site: Site) -> None:
    browser = site.browser()
    first, second = await browser.to_twitch("/a"), await browser.to_twitch("/b")
    assert (await browser.get(await browser.choose(first, "ann"))).location == "/a"
    assert (await browser.get(await browser.choose(second, "ann"))).location == "/b"
    rows = await site.sql("select revoked_because from claims.sessions order by created_at")
    assert [row["revoked_because"] for row in rows] == ["replaced", None]


async def test_a_look_by_head_uses_nothing_up(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    for path in (back, "/auth/twitch/login"):
        assert (await browser.ask("HEAD", path)).status == 405
    assert "sign_in" not in (await browser.get(back)).location


async def test_who_says_no_at_twitch_comes_back_with_denied(site: Site) -> None:
    browser = site.browser()
    parts = urlsplit(await browser.to_twitch("/x?y=1#z"))
    asked = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    no = await browser.ask("POST", f"{site.twitch.id_url}/authorize", data={**asked, "deny": "1"})
    assert outcome(await browser.get(no.location)) == "denied"


@pytest.mark.parametrize(
    ("endpoint", "fault", "code"),
    [
        ("token", 429, "busy"),
        ("token", 500, "away"),
        ("token", 403, "client"),
        ("token", "garbage", "garbled"),
        ("token", "slow", "away"),
        ("validate", 401, "revoked"),
        ("validate", 429, "busy"),
        ("validate", 500, "away"),
        ("validate", "garbage", "garbled"),
        ("validate", "slow", "away"),
    ],
)
async def test_a_fault_of_twitch_ends_at_the_return_path(serve: Serve, endpoint: str, fault: Fault, code: str) -> None:
    async with serve(timeout_s=0.5) as site:
        site.twitch.state.fail(endpoint, fault)  # type: ignore[arg-type]
        browser = site.browser()
        reply = await browser.sign_in("ann", "/rewards")
        assert outcome(reply) == code and reply.location == f"/rewards?sign_in={code}"
        assert (await browser.get("/api/auth/me")).json["authenticated"] is False
        assert (await browser.sign_in("ann")).location == "/", "the next try is as good as any"


@pytest.mark.parametrize("fault", [401, 429, 500, "garbage", "slow"])
async def test_without_helix_the_login_stands_for_the_display_name(serve: Serve, fault: Fault) -> None:
    async with serve(timeout_s=0.5) as site:
        site.twitch.state.fail("users", fault)
        browser = site.browser()
        assert (await browser.sign_in("ann")).location == "/"
        assert (await browser.get("/v1/me")).json["display_name"] == "ann"


async def test_twitch_that_is_not_there_is_away(site: Site) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    site.validation._twitch._id_url = "http://127.0.0.1:9"
    assert outcome(await browser.get(back)) == "away"


async def test_a_wrong_secret_of_ours_is_the_operators_to_mend(serve: Serve) -> None:
    async with serve(client=ClientCredentials("twzrdlocal", "wrong")) as site:
        assert outcome(await site.browser().sign_in("ann")) == "client"


async def test_a_token_of_another_application_signs_nobody_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = site.browser()
    back = await browser.choose(await browser.to_twitch(), "ann")
    code = parse_qs(urlsplit(back).query)["code"][0]
    twitch = site.validation._twitch
    grant = await twitch.exchange(code)

    async def exchange(code: str) -> object:
        site.twitch.state.client_id = "another"
        return grant

    monkeypatch.setattr(twitch, "exchange", exchange)
    assert outcome(await browser.get(back)) == "client"


async def test_a_renamed_login_is_the_same_viewer(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    site.twitch.state.rename("5", "ann_new")
    again = site.browser()
    await again.sign_in("ann_new")
    assert (await again.get("/v1/me")).json["login"] == "ann_new"
    assert [tuple(row) for row in await site.sql("select viewer_key, login from claims.twitch_users")] == [
        (5, "ann_new")
    ]


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "/%09/evil.example".replace("%09", "\t"),
        "/\n/evil.example",
        "javascript:alert(1)",
        "",
        "rewards",
        "/é",
        "/a\r\nset-cookie: x=y",
        "/" + "a" * 600,
        '/"onload=',
        "/<script>",
    ],
)
async def test_the_return_path_is_ours_or_nothing_begins(site: Site, back: str) -> None:
    reply = await site.browser().get("/auth/twitch/login", params={"return": back})
    assert (reply.status, reply.json["code"]) == (400, "malformed")
    assert (await site.sql("select count(*) as n from claims.sign_in_states"))[0]["n"] == 0


@pytest.mark.parametrize("back", ["/", "/a/b?c=d&e=f#g", "/.//evil.example", "/?sign_in=x"])
async def test_a_path_of_ours_is_kept(site: Site, back: str) -> None:
    browser = site.browser()
    reply = await browser.get(await browser.choose(await browser.to_twitch(quote(back, safe="")), "ann"))
    assert reply.location == back


async def test_signing_out_ends_the_session_here_and_the_token_at_twitch(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    kept = {cookie.key: cookie.value for cookie in browser.session.cookie_jar}
    assert site.twitch.state.open_tokens() == 1
    out = await browser.post("/auth/sign-out")
    assert (out.status, out.body) == (204, b"") and "Max-Age=0" in out.headers["set-cookie"]
    assert not [cookie for cookie in browser.session.cookie_jar if cookie.key == site.sessions.cookie.name]
    thief = {"cookie": f"{site.sessions.cookie.name}={kept[site.sessions.cookie.name]}"}
    stolen = await site.browser().get("/v1/me", headers=thief)
    assert (stolen.status, stolen.json["code"]) == (401, "sign_in_required")
    await site.validation.round()
    assert site.twitch.state.open_tokens() == 0
    (row,) = await site.sql("select revoked_because, token_sealed from claims.sessions")
    assert tuple(row) == ("signed out", None)


async def test_what_was_done_is_in_the_audit_log(site: Site) -> None:
    browser = site.browser()
    await browser.sign_in("ann")
    await browser.post("/auth/sign-out")
    rows = await site.sql("select actor, action, subject from claims.audit_log order by audit_id")
    assert [tuple(row) for row in rows] == [
        ("twitch:id:5", "begin session", "twitch:id:5"),
        ("twitch:id:5", "end session", "twitch:id:5"),
    ]


async def test_a_key_is_replaced_without_signing_anybody_out(serve: Serve) -> None:
    old, new = b"\x05" * 32, b"\x06" * 32
    async with serve(key=SessionKey([old])) as site:
        browser = site.browser()
        await browser.sign_in("ann")
        cookies = [(cookie.key, cookie.value) for cookie in browser.session.cookie_jar]
        csrf = browser.csrf
    header = {"cookie": "; ".join(f"{name}={value}" for name, value in cookies)}
    async with serve(key=SessionKey([new, old])) as site:
        browser = site.browser()
        assert (await browser.get("/v1/me", headers=header)).json["viewer"] == "twitch:id:5"
        await site.sql("update claims.sessions set validated_at = now() - interval '2 h'")
        await site.validation.round()
        assert site.counters.counts["validations", "good"] == 1, "what the old key sealed is read"
        assert (await browser.post("/auth/sign-out", cookie=header["cookie"], x_csrf_token=csrf)).status == 204
    async with serve(key=SessionKey([new])) as site:
        assert (await site.browser().get("/v1/me", headers=header)).status == 401


async def test_many_sign_ins_at_once_are_each_their_own(site: Site) -> None:
    browsers = [site.browser() for _ in range(12)]
    replies = await asyncio.gather(*(one.sign_in(f"user{n}") for n, one in enumerate(browsers)))
    assert [reply.location for reply in replies] == ["/"] * 12
    known = [(await one.get("/v1/me")).json["login"] for one in browsers]
    assert known == [f"user{n}" for n in range(12)]
