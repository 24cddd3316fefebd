"""Binding a wallet over HTTP: challenge, signature, binding; and what is refused, by field."""

import asyncio

import pytest

from claim_api.limits import Rate
from claim_api.wallets import siws
from tests.integration.claim_api.identity.binding import KEY, SECOND, b64, bind, challenge, proof, signed_in
from tests.integration.claim_api.identity.conftest import PLENTY, Reply, Serve, Site
from tests.siws_messages import forms


def refused(reply: Reply) -> str:
    assert (reply.status, reply.json["code"]) == (400, "wallet_refused"), reply.body
    return str(reply.json["message"]).partition(":")[0]


async def test_a_first_wallet_binds_at_once(site: Site) -> None:
    browser = await signed_in(site)
    given = await challenge(browser)
    asked = given["input"]
    host = site.base.removeprefix("http://")
    assert (asked["domain"], asked["uri"], asked["address"]) == (host, site.base, str(KEY.pubkey()))
    assert (asked["version"], asked["chainId"], asked["resources"]) == ("1", "localnet", ["twitch:id:5"])
    assert (asked["nonce"], asked["expirationTime"]) == (given["nonce"], given["expires_at"])
    reply = await browser.post("/v1/wallet", proof(given))
    assert reply.status == 200, reply.body
    assert reply.json["wallet"] == str(KEY.pubkey())
    me = (await browser.get("/v1/me")).json
    assert me["wallet"]["wallet"] == str(KEY.pubkey()) and me["next_wallet"] is None
    listed = (await browser.get("/v1/wallets")).json["wallets"]
    assert [(one["wallet"], one["form"]) for one in listed] == [(str(KEY.pubkey()), "siws")]
    (row,) = await site.sql("select * from claims.user_wallets")
    siws.verify_binding(bytes(row["message"]), bytes(row["signature"]), row["wallet"], "twitch:id:5", host, "localnet")
    (noted,) = await site.sql("select detail from claims.audit_log where action = 'bind wallet'")
    assert str(KEY.pubkey()) in noted["detail"]


async def test_the_forms_of_hardware_wallets_bind(site: Site) -> None:
    browser = await signed_in(site)
    host = site.base.removeprefix("http://")
    names = sorted(set(forms(b"", b"")) - {"siws"})
    for name in names:
        given = await challenge(browser)
        message = forms(given["message"].encode(), bytes(KEY.pubkey()), host)[name]
        reply = await browser.post("/v1/wallet", proof(given, message=message, form="off-chain"))
        assert reply.status == 200, (name, reply.body)
    rows = await site.sql("select distinct form from claims.user_wallets")
    assert [row["form"] for row in rows] == ["off-chain"]


async def test_the_form_must_be_the_one_it_is_said_to_be(site: Site) -> None:
    browser = await signed_in(site)
    given = await challenge(browser)
    assert refused(await browser.post("/v1/wallet", proof(given, form="off-chain"))) == "form"


@pytest.mark.parametrize(
    ("field", "old", "new"),
    [
        ("domain", "127.0.0.1", "127.0.0.2"),
        ("address", str(KEY.pubkey()), str(SECOND.pubkey())),
        ("statement", "rewards", "savings"),
        ("uri", "URI: http:", "URI: https:"),
        ("version", "Version: 1", "Version: 2"),
        ("chain_id", "localnet", "mainnet"),
        ("nonce", "Nonce: ", "Nonce: 00"),
        ("issued_at", "Issued At: 20", "Issued At: 19"),
        ("expiration_time", "Expiration Time: 20", "Expiration Time: 21"),
        ("resources", "twitch:id:5", "twitch:id:6"),
        ("domain", "127.0.0.1", "127.0.0.\uff11"),
        ("statement", "rewards", "r\u0435wards"),
        ("chain_id", "localnet", "l\u043ecalnet"),
        ("resources", "twitch:id:5", "tw\u0456tch:id:5"),
    ],
)
async def test_each_forged_field_is_named(site: Site, field: str, old: str, new: str) -> None:
    browser = await signed_in(site)
    given = await challenge(browser)
    assert old in given["message"]
    message = given["message"].replace(old, new).encode()
    assert refused(await browser.post("/v1/wallet", proof(given, message=message))) == field
    assert await site.sql("select 1 from claims.user_wallets") == []
    assert site.counters.counts["wallets_refused", field] == 1


async def test_another_keys_signature_binds_nothing(site: Site) -> None:
    browser = await signed_in(site)
    assert refused(await browser.post("/v1/wallet", proof(await challenge(browser), SECOND))) == "signature"


async def test_a_challenge_is_of_its_session(site: Site) -> None:
    ann, bob, ann_elsewhere = await signed_in(site), await signed_in(site, "bob"), await signed_in(site)
    given = await challenge(ann)
    for other in (bob, ann_elsewhere):
        assert refused(await other.post("/v1/wallet", proof(given))) == "nonce"
    assert (await ann.post("/v1/wallet", proof(given))).status == 200


async def test_a_signature_given_by_one_viewer_binds_no_other(site: Site) -> None:
    """The victim signed at another time; the attacker replays it under an own challenge."""
    ann, bob = await signed_in(site), await signed_in(site, "bob")
    signed = proof(await challenge(ann))
    own = await challenge(bob)
    assert refused(await bob.post("/v1/wallet", {**signed, "nonce": own["nonce"]})) == "nonce"


async def test_a_nonce_is_used_once(site: Site) -> None:
    browser = await signed_in(site)
    given = await challenge(browser)
    assert (await browser.post("/v1/wallet", proof(given))).status == 200
    assert refused(await browser.post("/v1/wallet", proof(given))) == "nonce"


async def test_a_nonce_is_used_once_though_many_try_at_the_same_time(serve: Serve) -> None:
    async with serve() as here, serve(public_url=here.base) as there:
        browser = await signed_in(here)
        given = await challenge(browser)
        twin = there.browser()
        twin.csrf = browser.csrf
        twin.session.cookie_jar.update_cookies({c.key: c.value for c in browser.session.cookie_jar})
        asks = [one.post("/v1/wallet", proof(given), origin=here.base) for one in (browser, twin) for _ in range(8)]
        replies = await asyncio.gather(*asks)
        assert sorted(reply.status for reply in replies) == [200] + [400] * 15
        assert len(await here.sql("select 1 from claims.user_wallets")) == 1


async def test_a_challenge_ends_after_ten_minutes(site: Site) -> None:
    browser = await signed_in(site)
    given = await challenge(browser)
    await site.sql("update claims.wallet_challenges set expires_at = now() - interval '1 s'")
    assert refused(await browser.post("/v1/wallet", proof(given))) == "nonce"
    await site.validation.round()
    assert await site.sql("select 1 from claims.wallet_challenges") == []


async def test_without_a_session_there_is_no_challenge(site: Site) -> None:
    reply = await site.browser().post("/v1/wallet/challenge", {"wallet": str(KEY.pubkey())})
    assert (reply.status, reply.json["code"]) == (401, "sign_in_required")
    assert (await site.browser().get("/v1/wallets")).status == 401


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"nonce": "\0" * 32}, 400, "malformed"),
        ({"nonce": "x"}, 400, "malformed"),
        ({"signature": "!"}, 400, "malformed"),
        ({"signed_message": b64(b"x" * 5_000)}, 400, "malformed"),
        ({"form": "other"}, 400, "malformed"),
        ({"more": "x"}, 400, "malformed"),
        ({"signature": ""}, 400, "wallet_refused"),
    ],
)
async def test_what_has_not_the_form_is_refused(site: Site, change: dict[str, str], status: int, code: str) -> None:
    browser = await signed_in(site)
    reply = await browser.post("/v1/wallet", {**proof(await challenge(browser)), **change})
    assert (reply.status, reply.json["code"]) == (status, code)


async def test_a_change_must_be_json(site: Site) -> None:
    browser = await signed_in(site)
    headers = {"origin": site.base, "x-csrf-token": browser.csrf, "content-type": "text/plain"}
    reply = await browser.ask("POST", "/v1/wallet/challenge", data=b"{}", headers=headers)
    assert (reply.status, reply.json["code"]) == (415, "not_json")


@pytest.mark.parametrize(
    ("rule", "paths"),
    [("sign_in", ["/auth/twitch/login", "/auth/twitch/callback"]), ("sign_in_all", ["/api/auth/twitch/login"])],
)
async def test_signing_in_is_limited_with_retry_after(serve: Serve, rule: str, paths: list[str]) -> None:
    async with serve(rates={**PLENTY, rule: Rate(4, 6)}) as site:
        replies = [await site.browser().get(paths[n % len(paths)]) for n in range(6)]
        assert [reply.status for reply in replies[-2:]] == [429, 429]
        assert all(reply.status != 429 for reply in replies[:4])
        assert replies[-1].json["code"] == "rate_limited" and 0 < int(replies[-1].headers["retry-after"]) <= 10
        assert site.counters.counts["limited", rule] == 2


async def test_changes_are_limited_by_session_and_bindings_by_wallet(serve: Serve) -> None:
    async with serve(rates={**PLENTY, "change": Rate(5, 1)}) as site:
        ann, bob = await signed_in(site), await signed_in(site, "bob")
        for _ in range(5):
            await challenge(ann)
        limited = await ann.post("/v1/wallet/challenge", {"wallet": str(KEY.pubkey())})
        assert (limited.status, limited.json["code"]) == (429, "rate_limited")
        await challenge(bob)
    async with serve(rates={**PLENTY, "wallet": Rate(2, 1)}) as site:
        ann, bob = await signed_in(site), await signed_in(site, "bob")
        for _ in range(4):  # who cannot sign uses nothing up
            await bob.post("/v1/wallet", proof(await challenge(bob), SECOND))
        assert [(await bind(ann)).status for _ in range(3)] == [200, 200, 429]
        assert (await bind(ann, SECOND)).status == 200


async def test_private_reads_are_limited(serve: Serve) -> None:
    async with serve(rates={**PLENTY, "read": Rate(4, 1)}) as site:
        ann = await signed_in(site)
        replies = [await ann.get(path) for path in ("/v1/me", "/v1/wallets") * 3]
        assert [reply.status for reply in replies][-2:] == [429, 429]
