"""Which login a wish stands for, by the order in which wishes and renames were said; with and without compaction."""

import random

import pytest

from schemas import control
from streams.collect.live import control_sets as sets_module
from streams.collect.live.control_sets import ControlSets

T = 1_767_225_600_000


def wanted(
    login: str, origin: control.Origin = "operator", note: str = "", room_id: str | None = None
) -> control.Wanted:
    return control.Wanted(1, login, room_id, origin, "ann", T, note)


def unwanted(login: str, origin: control.Origin = "operator") -> control.Unwanted:
    return control.Unwanted(1, login, origin, "ann", T, "")


def renamed(login: str, to: str, room_id: str = "7", at_ms: int = T) -> control.Renamed:
    return control.Renamed(1, login, to, room_id, "host-1", at_ms)


def state(login: str, room_id: str | None, collector: str = "host-1") -> control.ChannelState:
    return control.ChannelState(1, login, room_id, collector, "joined", "", T, T, [])


def fed(*said: control.Record) -> ControlSets:
    sets = ControlSets()
    for record in said:
        sets.feed(control.encode(record))
    return sets


def test_a_wish_follows_the_renames_that_come_after_it() -> None:
    assert fed(wanted("a"), renamed("a", "b")).wanted() == {"b"}
    assert fed(wanted("a"), renamed("a", "b"), renamed("b", "c")).wanted() == {"c"}
    assert fed(wanted("a"), renamed("b", "c"), renamed("a", "b")).wanted() == {"b"}, "b was somebody else by then"


def test_who_wants_the_old_login_anew_means_who_bears_it_now() -> None:
    sets = fed(wanted("a"), renamed("a", "b"), wanted("a", note="the new one"))
    assert sets.wanted() == {"a"} and sets.renames.away_from("a") is None
    assert fed(wanted("a"), renamed("a", "b"), wanted("a", note="again"), renamed("a", "c")).wanted() == {"c"}


def test_a_channel_that_gets_its_old_login_back_is_found_under_it() -> None:
    there_and_back = renamed("a", "b"), renamed("b", "a")
    assert fed(wanted("a"), *there_and_back).wanted() == {"a"}
    assert fed(wanted("b"), *there_and_back).wanted() == {"a"}
    assert fed(wanted("a"), *there_and_back, renamed("a", "c", at_ms=T + 1)).wanted() == {"c"}


def test_each_origin_follows_by_its_own_place_and_a_denial_of_either_login_holds() -> None:
    sets = fed(wanted("a"), renamed("a", "b"), wanted("a", "discovery"))
    assert sets.wanted() == {"a", "b"}
    found = wanted("x", "discovery"), renamed("x", "y")
    assert fed(*found).wanted() == {"y"}
    for login in ("x", "y"):
        assert fed(*found, control.Ruled(1, login, "deny", "ann", T, "")).wanted() == set()


def test_the_same_record_once_more_changes_nothing() -> None:
    assert fed(wanted("a"), renamed("a", "b"), wanted("a")).wanted() == {"b"}
    sets = fed(wanted("a"), renamed("a", "b"), wanted("a", note="anew"), renamed("a", "b"))
    assert sets.wanted() == {"a"}


def test_a_list_without_times_follows_every_rename_but_those_before_a_wish() -> None:
    assert fed(renamed("a", "b")).renames.bearer_of("a") == "b"
    assert fed(renamed("a", "b"), wanted("a")).renames.bearer_of("a") == "a"
    assert fed(renamed("a", "b"), wanted("a"), unwanted("a")).renames.bearer_of("a") == "b"


def test_wishes_are_found_by_either_login() -> None:
    sets = fed(wanted("a"), renamed("a", "b"), wanted("b", "discovery"))
    assert {login: set(wishes) for login, wishes in sets.wishes_for("b").items()} == {
        "a": {"operator"},
        "b": {"discovery"},
    }
    assert set(sets.wishes_for("a")) == {"a"} and sets.wishes_for("c") == {}


def test_room_ids_are_known_from_reports_wishes_and_renames_and_none_forgets_none() -> None:
    sets = fed(wanted("a", room_id="1"), state("b", "2"), state("b", None, "host-2"), renamed("b", "c", "2"))
    assert sets.room_ids == {"a": "1", "c": "2"}
    assert fed(state("a", "1"), state("a", "9")).room_ids == {"a": "9"}


def test_a_login_that_was_left_is_not_known_by_the_room_that_left_it() -> None:
    """Else the old login, wanted anew, would be taken for the renamed channel as soon as one JOIN fails."""
    sets = fed(state("a", "7"), renamed("a", "b"), state("a", "7"), state("a", "7", "host-2"))
    assert sets.room_ids == {"b": "7"}
    sets.feed(control.encode(state("a", "9")))
    assert sets.room_ids == {"b": "7", "a": "9"}
    back = fed(state("a", "7"), renamed("a", "b"), renamed("b", "a"), state("a", "7"), state("b", "7"))
    assert back.room_ids == {"a": "7"}


def test_room_ids_and_renames_are_bounded_and_those_said_last_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets_module, "MAX_CHANNELS", 2)
    sets = fed(state("a", "1"), state("b", "2"), state("a", "1"), state("c", "3"))
    assert sets.room_ids == {"a": "1", "c": "3"} and sets.counters.forgotten_total == 1
    sets = fed(*(renamed(f"a{n}", f"b{n}", str(n)) for n in range(4)))
    assert set(sets.renames.said) == {"a2", "a3"}
    assert sets.renames.bearer_of("a0") == "a0" and sets.renames.bearer_of("a3") == "b3"


def test_compaction_changes_no_answer(seed: int) -> None:
    """Random words of four logins; only the newest record of each key, in order, says the same as all of them."""
    chance = random.Random(seed)
    logins = "abcd"
    for round_ in range(300):
        said: list[control.Record] = []
        for number in range(chance.randrange(1, 25)):
            login, origin = chance.choice(logins), chance.choice(("operator", "discovery"))
            match chance.randrange(4):
                case 0 | 1:
                    said.append(renamed(login, chance.choice(logins.replace(login, "")), at_ms=T + number))
                case 2:
                    said.append(wanted(login, origin, f"{round_} {number}"))  # type: ignore[arg-type]
                case 3:
                    said.append(unwanted(login, origin))  # type: ignore[arg-type]
        newest = {control.key(one): at for at, one in enumerate(said)}
        whole, thin = fed(*said), fed(*(said[at] for at in sorted(newest.values())))
        assert whole.wanted() == thin.wanted()
        assert [whole.renames.bearer_of(one) for one in logins] == [thin.renames.bearer_of(one) for one in logins]
