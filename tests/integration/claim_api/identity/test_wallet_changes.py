"""Another wallet: how long it waits, and how an owner keeps the one in force against a thief with a stolen session."""

from datetime import datetime, timedelta

from solders.keypair import Keypair

from tests.integration.claim_api.identity.binding import KEY, SECOND, bind, signed_in
from tests.integration.claim_api.identity.conftest import Reply, Site


async def test_a_second_wallet_waits_for_a_day(site: Site) -> None:
    browser = await signed_in(site)
    await bind(browser)
    reply = await bind(browser, SECOND)
    me = (await browser.get("/v1/me")).json
    assert me["wallet"]["wallet"] == str(KEY.pubkey()), "the first stays in force"
    assert me["next_wallet"]["wallet"] == str(SECOND.pubkey())
    waits = datetime.fromisoformat(reply.json["effective_at"]) - datetime.fromisoformat(me["next_wallet"]["bound_at"])
    assert timedelta(hours=23, minutes=59) < waits < timedelta(hours=24, minutes=1)
    await site.sql("update claims.user_wallets set effective_at = now() where wallet = $1", str(SECOND.pubkey()))
    me = (await browser.get("/v1/me")).json
    assert (me["wallet"]["wallet"], me["next_wallet"]) == (str(SECOND.pubkey()), None)
    listed = (await browser.get("/v1/wallets")).json["wallets"]
    assert [one["wallet"] for one in listed] == [str(SECOND.pubkey()), str(KEY.pubkey())]


async def pass_time(site: Site, hours: int) -> None:
    """As if so many hours had gone by since everything that was bound."""
    await site.sql(
        "update claims.user_wallets set bound_at = bound_at - make_interval(hours => $1), "
        "effective_at = effective_at - make_interval(hours => $1)",
        hours,
    )


async def in_force(site: Site) -> str:
    (row,) = await site.sql("select wallet from claims.wallets_in_force")
    return str(row["wallet"])


async def test_an_owner_who_keeps_the_wallet_voids_the_change_that_a_thief_began(site: Site) -> None:
    """The session was stolen; what the thief cannot do is sign with the owner's wallet."""
    browser = await signed_in(site)
    await bind(browser)
    await pass_time(site, 100)
    await bind(browser, SECOND)
    await pass_time(site, 1)
    kept = await bind(browser)
    me = (await browser.get("/v1/me")).json
    assert me["wallet"] == {"wallet": str(KEY.pubkey()), "bound_at": me["wallet"]["bound_at"], **_at(kept)}
    assert me["next_wallet"] is None, "void: it is older than the binding in force"
    for hours in (22, 1, 1, 1, 24):  # 23 h, 24 h, 25 h and two days after the thief
        await pass_time(site, hours)
        assert await in_force(site) == str(KEY.pubkey())
    assert (await bind(browser, SECOND)).status == 200
    assert await in_force(site) == str(KEY.pubkey()), "another wallet waits as ever"
    await pass_time(site, 25)
    assert await in_force(site) == str(SECOND.pubkey()), "and comes where nobody keeps the first"


def _at(reply: Reply) -> dict[str, str]:
    assert reply.status == 200, reply.body
    return {"effective_at": reply.json["effective_at"]}


async def test_the_change_that_comes_first_is_shown_though_a_newer_one_waits(site: Site) -> None:
    """Else a thief would hide one behind another, even behind the owner's own."""
    browser = await signed_in(site)
    await bind(browser)
    await bind(browser, SECOND)
    await pass_time(site, 1)
    third = Keypair.from_seed(b"\x03" * 32)
    await bind(browser, third)
    assert (await browser.get("/v1/me")).json["next_wallet"]["wallet"] == str(SECOND.pubkey())
    await pass_time(site, 23)
    me = (await browser.get("/v1/me")).json
    assert (me["wallet"]["wallet"], me["next_wallet"]["wallet"]) == (str(SECOND.pubkey()), str(third.pubkey()))
    await bind(browser, SECOND)
    assert (await browser.get("/v1/me")).json["next_wallet"] is None
