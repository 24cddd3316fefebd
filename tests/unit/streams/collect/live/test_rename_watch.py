"""Channels that went astray are looked up by room id and followed: the reconciler's part, with a Helix of the test."""

from collections.abc import Sequence
from itertools import chain, pairwise

import pytest

from schemas import control
from streams.collect.live import rename_watch
from streams.collect.live.app_token import HelixError
from streams.collect.live.control import read_sets, say
from streams.collect.live.reconciler import JOIN_ANSWER_S
from streams.collect.live.rename_watch import LAST_WAIT_S, RenameWatch
from streams.log.port import CONTROL
from tests.memory_log import MemoryLog
from tests.reconciler_world import World

SUSPENDED = b"@msg-id=msg_channel_suspended :t NOTICE #%s :x"


class Helix:
    """Who bears which id; `asked` remembers. away: it does not answer."""

    def __init__(self) -> None:
        self.users: dict[str, str] = {}
        self.asked: list[list[str]] = []
        self.away = False

    async def logins_of(self, room_ids: Sequence[str]) -> dict[str, str]:
        self.asked.append(list(room_ids))
        if self.away:
            raise HelixError("GET /users failed 5 times, last with HTTP 503")
        return {one: self.users[one] for one in room_ids if one in self.users}


class Watched:
    """A world of channels, a log, and a watch over them; the wanted set follows the log."""

    def __init__(self, seed: int, *, credentials: bool = True, known: dict[str, str] | None = None) -> None:
        self.world = World(seed, known=known)
        self.world.now_s = 1_767_225_600.0
        self.log = MemoryLog()
        self.helix = Helix()
        self.watch = RenameWatch(self.log, self.world.roster, self.helix if credentials else None, "host-1")

    async def want(self, *logins: str) -> None:
        await say(self.log, *(control.Wanted(1, one, None, "operator", "ann", 1_767_225_600_000, "") for one in logins))
        await self.follow()

    async def follow(self) -> None:
        self.world.want(*(await read_sets(self.log)).wanted())

    def renames(self) -> list[tuple[str, str, str]]:
        found = [control.decode(one.value) for one in self.log.records(CONTROL)]
        return [(one.login, one.to, one.room_id) for one in found if isinstance(one, control.Renamed)]

    def outcomes(self, login: str) -> list[str]:
        return [outcome for one, what, outcome in self.world.tries if (one, what) == (login, "rename")]


@pytest.fixture
def watched(seed: int) -> Watched:
    return Watched(seed)


@pytest.mark.parametrize("how", ["notice", "put out", "silence"])
async def test_a_login_that_stops_working_is_looked_up_by_its_room_and_the_new_one_joined_in_its_place(
    watched: Watched, how: str
) -> None:
    world = watched.world
    await watched.want("old", "other")
    world.confirm("old", 7)
    world.confirm("other", 8)
    await watched.watch.round()
    assert watched.helix.asked == []
    if how == "notice":
        world.say(SUSPENDED % b"old")
    elif how == "put out":
        world.say(b":justinfan1!j@t PART #old")
    else:
        world.lines.append(type(world.lines[0])(2))
        world.end(1)
        world.confirm("other", 8, on=2)
        assert not watched.world.roster.went_astray.is_set(), "its connection ended: that is no fault of the login"
        world.pass_s(JOIN_ANSWER_S)
    assert world.roster.went_astray.is_set()
    watched.helix.users = {"7": "new", "8": "other"}
    await watched.watch.round()
    assert watched.helix.asked == [["7"]], "the one that is heard is not asked for"
    assert watched.renames() == [("old", "new", "7")]
    on = 2 if how == "silence" else 1
    await watched.follow()
    assert world.sent(on)[-1] == "JOIN new" and world.state("old").state == "leaving"
    world.confirm("new", 7, on=on)
    assert [one for one in world.intake.of("observing") if one.room_id == "7"][-1].login == "new"
    assert watched.outcomes("old") == ["room 7 is #new now, which is followed"]
    assert ("room-id", "was #old before") in [(one.what, one.outcome) for one in world.state("new").tried]
    world.pass_s(10)
    assert [one.login for one in world.it.states()] == ["new", "other"]
    assert watched.watch.counters.followed_total == 1


async def test_the_room_id_of_an_earlier_process_is_enough(seed: int) -> None:
    watched = Watched(seed, known={"old": "7"})
    watched.helix.users = {"7": "new"}
    await watched.want("old")
    assert watched.world.state("old").room_id == "7", "and the first report says it, so that it is not forgotten"
    watched.world.pass_s(JOIN_ANSWER_S)
    await watched.watch.round()
    assert watched.renames() == [("old", "new", "7")]


async def test_a_login_that_was_never_heard_is_not_looked_up(watched: Watched) -> None:
    await watched.want("typo")
    watched.world.pass_s(JOIN_ANSWER_S)
    await watched.watch.round()
    assert watched.helix.asked == [] and not watched.outcomes("typo")


@pytest.mark.parametrize("msg_id", [b"msg_banned", b"msg_ratelimit", b"msg_concurrent_channel_limit_reached"])
async def test_a_refusal_that_says_nothing_of_the_login_is_not_looked_up(watched: Watched, msg_id: bytes) -> None:
    await watched.want("a")
    watched.world.confirm("a", 7)
    watched.world.say(b"@msg-id=%s :t NOTICE #a :x" % msg_id)
    assert watched.world.state("a").state == "parked"
    await watched.watch.round()
    assert watched.helix.asked == []


async def test_look_ups_grow_seldom_and_end_when_the_channel_is_heard_or_not_wanted(watched: Watched) -> None:
    world = watched.world
    await watched.want("a", "b")
    for login, room in (("a", 7), ("b", 8)):
        world.confirm(login, room)
        world.say(SUSPENDED % login.encode())
    watched.helix.users = {"7": "a"}
    times_s = []
    began_s = world.now_s
    while world.now_s < began_s + 86_400:
        before = len(watched.helix.asked)
        await watched.watch.round()
        times_s += [world.now_s] * (len(watched.helix.asked) - before)
        world.pass_s(60)
    assert times_s[0] == began_s and 10 <= len(times_s) <= 30, "of two channels, in a day"
    assert max(late - early for early, late in pairwise(times_s)) <= LAST_WAIT_S + 60
    assert set(watched.outcomes("a")) == {"room 7 still is #a"}
    assert set(watched.outcomes("b")) == {"room 8 is nobody's: suspended, or gone"}
    assert watched.renames() == []
    asked = len(watched.helix.asked)
    world.confirm("a", 7)
    world.want("a")
    world.pass_s(2 * LAST_WAIT_S)
    await watched.watch.round()
    assert len(watched.helix.asked) == asked


async def test_a_helix_or_a_log_that_is_away_is_tried_again_and_joins_go_on(watched: Watched) -> None:
    world = watched.world
    await watched.want("old")
    world.confirm("old", 7)
    world.say(SUSPENDED % b"old")
    watched.helix.users, watched.helix.away = {"7": "new"}, True
    await watched.watch.round()
    assert watched.renames() == [] and "could not be looked up" in watched.outcomes("old")[-1]
    await watched.watch.round()
    assert len(watched.helix.asked) == 1, "not at once again"
    world.pass_s(61)
    watched.helix.away = False
    watched.log.fail.add("append")
    await watched.watch.round()
    assert watched.renames() == [] and watched.watch.counters.failures_total == 2
    watched.log.fail.clear()
    world.pass_s(200)
    await watched.watch.round()
    assert watched.renames() == [("old", "new", "7")]
    assert world.sent().count("JOIN old") >= 1


async def test_without_credentials_why_says_what_to_do_once_in_a_while(seed: int) -> None:
    watched = Watched(seed, credentials=False)
    await watched.want("old")
    watched.world.confirm("old", 7)
    watched.world.say(SUSPENDED % b"old")
    reported = len(watched.world.reported)
    for _ in range(5):
        await watched.watch.round()
    [said] = watched.outcomes("old")
    assert "room 7 cannot be looked up without Twitch credentials" in said and "twzrd channels add NEWLOGIN" in said
    assert watched.world.reported[reported:] == [("old", "parked")]


async def test_a_round_asks_for_a_bounded_number_and_the_rest_comes_next(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rename_watch, "MAX_ASKED", 3)
    logins = [f"c{number}" for number in range(5)]
    await watched.want(*logins)
    for number, login in enumerate(logins):
        watched.world.confirm(login, 100 + number)
        watched.world.say(SUSPENDED % login.encode())
    for _ in range(3):
        await watched.watch.round()
    assert [len(one) for one in watched.helix.asked] == [3, 2]
    assert sorted(chain.from_iterable(watched.helix.asked)) == [str(100 + number) for number in range(5)]
    assert watched.watch.counters.put_off_total == 2


async def test_two_wanted_logins_of_one_room_are_told_apart_without_helix(watched: Watched) -> None:
    await watched.want("old", "new")
    watched.world.confirm("old", 7)
    watched.world.confirm("new", 7)
    await watched.watch.round()
    assert watched.world.state("old").reason == "renamed" and watched.helix.asked == []
