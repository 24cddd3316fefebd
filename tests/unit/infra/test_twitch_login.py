"""The local Twitch: its rules for codes and tokens, its page, and the faults it has on command."""

import asyncio
from collections.abc import AsyncIterator
from html.parser import HTMLParser

import aiohttp
import pytest

from infra.twitch_login import page
from infra.twitch_login.server import LocalTwitch, TwitchLoginError, served
from infra.twitch_login.state import LocalUser, LoginState

BACK = "http://127.0.0.1:8480/auth/twitch/callback"
QUERY = {"response_type": "code", "client_id": "twzrdlocal", "redirect_uri": BACK, "scope": "", "state": "s"}
CLIENT = {"client_id": "twzrdlocal", "client_secret": "twzrdlocalsecret"}


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def state(clock: Clock) -> LoginState:
    made = LoginState(now_s=clock)
    made.add_user("ann", "5", "Ann")
    return made


@pytest.fixture
async def twitch(state: LoginState) -> AsyncIterator[LocalTwitch]:
    async with served(state) as one:
        yield one


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def test_a_code_is_good_once_shortly_and_for_its_address(state: LoginState, clock: Clock) -> None:
    ann = state.users["5"]
    code = state.issue_code(ann, BACK)
    assert state.redeem(code, BACK + "/") is None
    assert state.redeem(code, BACK) is None, "used up by the wrong try"
    code = state.issue_code(ann, BACK)
    assert state.redeem(code, BACK) is not None and state.redeem(code, BACK) is None
    code = state.issue_code(ann, BACK)
    clock.now_s += 121
    assert state.redeem(code, BACK) is None


def test_a_token_ends_and_is_renewed_until_the_user_disconnects(state: LoginState, clock: Clock) -> None:
    issued = state.redeem(state.issue_code(state.users["5"], BACK), BACK)
    assert issued is not None
    access, pair = issued
    assert state.user_of(access) == (LocalUser("5", "ann", "Ann"), 14_400)
    clock.now_s += 14_400
    assert state.user_of(access) is None
    renewed = state.refresh(pair.refresh_token)
    assert renewed is not None and state.user_of(renewed[0]) is not None
    assert state.refresh(pair.refresh_token) is None
    state.disconnect("5")
    assert state.user_of(renewed[0]) is None and state.refresh(renewed[1].refresh_token) is None


def test_a_typed_login_gets_an_id_of_its_own_and_keeps_it(state: LoginState) -> None:
    bob = state.add_user(" Bob_2 ")
    assert (bob.login, int(bob.user_id) > 900_000_000) == ("bob_2", True)
    assert state.add_user("bob_2") is bob and state.add_user("carl").user_id != bob.user_id
    for wrong in ("", "a b", "<b>", "x" * 26, "é"):
        with pytest.raises(ValueError, match="login"):
            state.add_user(wrong)


class Forms(HTMLParser):
    """What a browser without scripts can do on the page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.hidden: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if given.get("type") == "hidden":
            self.hidden.add((given["name"] or "", given["value"] or ""))


def test_the_page_needs_no_script_and_lets_nothing_through() -> None:
    evil = '"><script>alert(1)</script>'
    forms = Forms()
    forms.feed(page.choose({"state": evil}, [LocalUser("5", "ann", evil)]))
    assert "script" not in forms.tags and forms.tags.count("form") == 3
    assert forms.hidden == {("state", evil)}
    assert "script-src" not in page.policy("http://127.0.0.1:1") and "default-src 'none'" in page.policy("x")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"client_id": "x"}, "client_id"),
        ({"response_type": "token"}, "response_type"),
        ({"redirect_uri": "https://evil.example/"}, "not on this machine"),
        ({"redirect_uri": "javascript:alert(1)"}, "not on this machine"),
        ({"state": "x" * 3_000}, "too long"),
    ],
)
async def test_a_sign_in_that_twitch_would_refuse_goes_nowhere(
    twitch: LocalTwitch, client: aiohttp.ClientSession, change: dict[str, str], said: str
) -> None:
    for ask in (
        client.get(f"{twitch.id_url}/authorize", params={**QUERY, **change}),
        client.post(f"{twitch.id_url}/authorize", data={**QUERY, **change, "user": "ann"}),
    ):
        async with ask as answer:
            assert answer.status == 400 and said in await answer.text()


async def test_only_registered_addresses_where_there_are_some(client: aiohttp.ClientSession) -> None:
    async with served(LoginState(redirect_uris={"https://rewards.example/auth/twitch/callback"})) as twitch:
        async with client.get(f"{twitch.id_url}/authorize", params=QUERY) as answer:
            assert answer.status == 400
        good = {**QUERY, "redirect_uri": "https://rewards.example/auth/twitch/callback"}
        async with client.get(f"{twitch.id_url}/authorize", params=good) as answer:
            assert answer.status == 200
            assert "form-action 'self' https://rewards.example;" in answer.headers["content-security-policy"]


async def test_another_site_signs_nobody_in(twitch: LocalTwitch, client: aiohttp.ClientSession) -> None:
    headers = {"sec-fetch-site": "cross-site"}
    form = {**QUERY, "user": "ann"}
    async with client.post(f"{twitch.id_url}/authorize", data=form, headers=headers) as answer:
        assert answer.status == 403


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({**CLIENT, "grant_type": "authorization_code", "code": "x", "redirect_uri": BACK}, 400),
        ({**CLIENT, "client_secret": "wrong", "grant_type": "authorization_code"}, 403),
        ({**CLIENT, "client_id": "x", "grant_type": "authorization_code"}, 400),
        ({**CLIENT, "grant_type": "refresh_token", "refresh_token": "x"}, 400),
        ({**CLIENT, "grant_type": "password"}, 400),
    ],
)
async def test_the_token_endpoint_refuses_as_twitch_does(
    twitch: LocalTwitch, client: aiohttp.ClientSession, form: dict[str, str], status: int
) -> None:
    async with client.post(f"{twitch.id_url}/token", data=form) as answer:
        assert answer.status == status


async def test_faults_come_on_command_each_once(twitch: LocalTwitch, client: aiohttp.ClientSession) -> None:
    said = {"endpoint": "validate", "faults": [429, "garbage", "slow"]}
    async with client.post(f"{twitch.url}/faults", json=said) as answer:
        assert answer.status == 204
    seen = []
    for _ in range(2):
        async with client.get(f"{twitch.id_url}/validate") as answer:
            seen.append(answer.status)
    with pytest.raises(asyncio.TimeoutError):
        async with client.get(f"{twitch.id_url}/validate", timeout=aiohttp.ClientTimeout(total=0.2)):
            pass
    async with client.get(f"{twitch.id_url}/validate") as answer:
        assert [*seen, answer.status] == [429, 200, 401]


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"endpoint": "other", "faults": [429]},
        {"endpoint": "token", "faults": 429},
        {"endpoint": "token", "faults": [200]},
        {"do": "fly"},
        {"do": "rename", "user": "nobody", "login": "x"},
        [],
    ],
)
async def test_what_is_no_command_is_refused(
    twitch: LocalTwitch, client: aiohttp.ClientSession, said: dict[str, object]
) -> None:
    async with client.post(f"{twitch.url}/faults", json=said) as answer:
        assert answer.status == 400
    async with client.post(f"{twitch.url}/faults", data="{}") as answer:
        assert answer.status == 415, "a foreign page's form is no command"


async def test_it_listens_on_this_machine_only_and_says_when_a_port_is_taken(state: LoginState) -> None:
    with pytest.raises(TwitchLoginError, match="this machine alone"):
        async with served(state, "0.0.0.0"):
            pass
    async with served(state) as twitch:
        port = int(twitch.url.rpartition(":")[2])
        with pytest.raises(TwitchLoginError, match="give another port"):
            async with served(state, port=port):
                pass
