"""The state machine of channels: wanted, joined, parked, left."""

import random

from streams.collect.live.membership import MAX_TRIED
from streams.collect.live.pacing import Pacing
from streams.collect.live.reconciler import JOIN_ANSWER_S, LEAVE_S
from tests.reconciler_world import Line, World
from tests.recording_intake import Told


def test_wanted_joining_joined_in_that_order_and_the_intake_is_told(single: World) -> None:
    single.lines[0].room = 0
    single.want("a")
    assert single.state("a").state == "wanted"
    single.lines[0].room = 90
    single.it.step()
    assert single.state("a").state == "joining" and single.sent() == ["JOIN a"]
    single.confirm("a", 7)
    assert single.state("a").state == "joined" and single.state("a").room_id == "7"
    assert single.intake.told == [Told("observing", "a", 1, None), Told("observing", "a", 1, "7")]
    assert single.reported == [("a", "wanted"), ("a", "joining"), ("a", "joined")]


def test_a_roomstate_alone_confirms_and_later_ones_say_nothing_new(single: World) -> None:
    single.want("a")
    single.say(b"@room-id=7 :t ROOMSTATE #a")
    single.say(b"@room-id=7;slow=10 :t ROOMSTATE #a")
    assert single.intake.told == [Told("observing", "a", 1, "7")]


def test_a_foreign_join_confirms_nothing(single: World) -> None:
    single.want("a")
    single.say(b":somebody!s@t JOIN #a")
    assert single.state("a").state == "joining" and not single.intake.told


def test_who_comes_and_goes_is_counted_and_is_never_taken_for_us(single: World) -> None:
    single.want("a")
    single.say(b":somebody!s@t JOIN #a")
    single.say(b":justinfan12!j@t JOIN #a")
    assert single.state("a").state == "joining" and not single.intake.told
    single.say(b":t 353 justinfan1 = #a :justinfan1 ann bob justinfan12")
    single.say(b":t 353 justinfan1 = #a :ann")
    single.say(b":t 366 justinfan1 #a :End of /NAMES list")
    single.confirm("a", 7)
    told = list(single.intake.told)
    single.say(b":somebody!s@t PART #a")
    single.say(b":justinfan12!j@t PART #a")
    single.say(b":somebody!s@t JOIN #elsewhere")
    assert single.state("a").state == "joined" and single.intake.told == told and single.sent() == ["JOIN a"]
    metrics = single.metrics
    assert (metrics.members_joined_total, metrics.members_parted_total, metrics.members_listed_total) == (3, 2, 4)


def test_the_times_of_joins_are_kept_before_they_are_sent(seed: int) -> None:
    kept: list[tuple[int, int]] = []
    lines: list[Line] = []
    pacing = Pacing(10, 10, keep=lambda granted: kept.append((len(granted), len(lines[0].sent))))
    world = World(seed, pacing=pacing)
    lines += world.lines
    world.want("a", "b", "c")
    assert kept == [(3, 0)]
    assert len(world.sent()) == 3
    world.pass_s(1)
    assert len(kept) == 1, "nothing was sent, nothing is written"


def test_an_unanswered_join_is_parked_and_tried_again_at_growing_intervals(single: World) -> None:
    single.want("a")
    pauses = []
    for tries in range(1, 12):
        assert len([one for one in single.sent() if one == "JOIN a"]) == tries
        single.pass_s(JOIN_ANSWER_S)
        state = single.state("a")
        assert (state.state, state.reason, state.failures) == ("parked", "no answer to JOIN", tries)
        assert state.retry_at_ms is not None
        pauses.append(state.retry_at_ms / 1000 - single.now_s)
        single.pass_s(pauses[-1] + 0.01)
    assert all(0.49 * min(1_800, 15 * 2**n) < pause <= min(1_800, 15 * 2**n) for n, pause in enumerate(pauses))
    assert not single.lines[0].channels - {"a"}
    assert len(single.state("a").tried) == MAX_TRIED


def test_an_answer_that_comes_late_still_counts(single: World) -> None:
    single.want("a")
    single.pass_s(JOIN_ANSWER_S)
    single.confirm("a", 7)
    assert single.state("a").state == "joined" and single.state("a").retry_at_ms is None
    assert single.lines[0].channels == {"a"}
    single.pass_s(3_600)
    assert single.sent() == ["JOIN a"]


def test_a_rate_limit_holds_every_join(seed: int) -> None:
    world = World(seed, pacing=Pacing())
    world.want("a")
    world.say(b"@msg-id=msg_ratelimit :t NOTICE #a :x")
    world.want("a", "b")
    assert world.sent() == ["JOIN a"]
    world.pass_s(12.5)
    assert "JOIN b" in world.sent()


def test_the_channel_limit_of_a_connection_is_learnt(world: World) -> None:
    world.lines[1].room = 0
    world.want("a", "b", "c")
    world.confirm("a")
    world.confirm("b")
    world.say(b"@msg-id=msg_concurrent_channel_limit_reached :t NOTICE #c :x")
    assert world.lines[0].room == 2
    world.lines[1].room = 90
    world.pass_s(5.1)
    assert world.sent(2) == ["JOIN c"]


def test_the_newest_wish_is_joined_before_a_flood_and_refused_ones_last(seed: int) -> None:
    world = World(seed, pacing=Pacing(10, 10))
    dead = [f"dead{n}" for n in range(100)]
    world.want(*dead)
    world.want(*dead, "good")
    world.pass_s(10.1)
    assert "JOIN good" in world.sent()[10:20]
    world.pass_s(200)  # by now the dead are refused and due again and again
    world.want(*dead, "good", "better")
    at = len(world.sent())
    world.pass_s(10.1)
    assert "JOIN better" in world.sent()[at - 1 : at + 10]


def test_refused_channels_wait_behind_every_new_one_however_old_its_wish(seed: int) -> None:
    world = World(seed, pacing=Pacing(10, 10))
    dead, good = [f"dead{n}" for n in range(10)], [f"good{n}" for n in range(50)]
    world.want(*dead, *good)
    for login in dead:
        world.say(b"@msg-id=msg_concurrent_channel_limit_reached :t NOTICE #%s :x" % login.encode())
    world.lines[0].room = 90
    world.want(*dead, *good, "newest")
    world.pass_s(60)
    assert sorted(world.sent()[10:61]) == sorted(f"JOIN {login}" for login in [*good, "newest"])
    assert world.sent()[61].startswith("JOIN dead")


def test_places_are_asked_for_as_channels_come_and_not_for_those_that_wait_long(single: World) -> None:
    single.lines[0].room = 0
    single.want(*[f"c{n}" for n in range(1_000)])
    assert single.ensured[-1] == 18
    single.lines[0].room = 90
    single.it.step()
    single.it.step()
    assert single.ensured[-1] == 90 + 18
    single.want()
    single.pass_s(LEAVE_S)
    assert single.ensured[-1] == 0


def test_an_unwanted_channel_is_left_forgotten_and_may_come_back(single: World) -> None:
    single.want("a")
    single.confirm("a", 7)
    single.want()
    assert single.state("a").state == "leaving" and single.sent()[-1] == "PART a"
    assert single.intake.observed() == set()
    single.say(b"@room-id=7 :t ROOMSTATE #a")  # said before the PART was read
    assert single.intake.observed() == set()
    single.say(b":justinfan1!j@t PART #a")
    assert not single.it.states() and single.reported[-1] == ("a", "left")
    single.want("a")
    single.confirm("a", 7)
    assert single.intake.observed() == {("a", 1)}


def test_a_channel_wanted_again_while_it_leaves_waits_for_no_wrong_confirmation(single: World) -> None:
    single.want("a")
    single.confirm("a", 7)
    single.want()
    single.want("a")
    single.say(b"@room-id=7 :t ROOMSTATE #a")  # of the time before the PART
    assert single.state("a").state == "joining"
    single.say(b":justinfan1!j@t PART #a")
    single.confirm("a", 7)
    assert single.state("a").state == "joined"
    single.pass_s(LEAVE_S)
    assert single.state("a").state == "joined"


def test_a_confirmation_of_what_nobody_wants_is_answered_with_part(single: World) -> None:
    single.confirm("stranger")
    assert single.sent() == ["PART stranger"] and not single.intake.told


def test_names_that_are_no_login_never_reach_the_server(single: World) -> None:
    single.want("good", "a b", "a\r\nQUIT", "A", "", "#x", "é", "x" * 65)
    assert single.sent() == ["JOIN good"]
    assert single.metrics.wanted_refused_total == 7


def test_any_order_of_events_keeps_intake_connections_and_states_in_step(seed: int) -> None:
    """2,000 random steps: what the Intake believes, what connections hold and what states say stay the same thing."""
    chance = random.Random(seed)
    world = World(seed, lines=3, pacing=Pacing(30, 2.0))
    world.replaces = True
    logins = [f"c{n}" for n in range(12)]
    for _ in range(2_000):
        login, on = chance.choice(logins), chance.choice([line.number for line in world.lines if not line.over])
        match chance.randrange(10):
            case 0:
                world.want(*chance.sample(logins, chance.randrange(len(logins) + 1)))
            case 1 | 2 | 3:
                asked = sorted((one, line.number) for line in world.lines for one in line.channels)
                if asked:
                    one, number = chance.choice(asked)
                    world.confirm(one, chance.choice((None, 7, 8, 1_000 + int(one[1:]))), number)
            case 4:
                world.confirm(login, chance.choice((None, 7)), on)
            case 5:
                world.say(b":justinfan1!j@t PART #" + login.encode(), on)
            case 6:
                notice = chance.choice(
                    (b"msg_channel_suspended", b"msg_ratelimit", b"msg_concurrent_channel_limit_reached")
                )
                world.say(b"@msg-id=%s :t NOTICE #%s :x" % (notice, login.encode()), on)
            case 7:
                if not world.lines[on - 1].draining:
                    world.drain(on)
            case 8:
                if world.lines[on - 1].draining or chance.random() < 0.2:
                    world.end(on)
                    assert not world.lines[on - 1].channels
                    world.lines.append(Line(len(world.lines) + 1))
            case 9:
                world.pass_s(chance.choice((0.1, 4.0, 11.0, 400.0)))
        observed = world.intake.observed()
        for state in world.it.states():
            homes = {number for one, number in observed if one == state.login}
            assert (state.state in ("joined", "moving")) == bool(homes)
            assert len(homes) <= 2
        for one, number in observed:
            assert one in world.lines[number - 1].channels
