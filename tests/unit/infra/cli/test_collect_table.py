"""The live table fits every terminal, is sorted, hides no trouble, and nothing steers the terminal."""

import random

import pytest
from rich.console import Console

from infra.cli.collect_table import Rates, Seen, picture
from infra.collecting import Activity, Queue
from streams.collect.live.membership import ChannelState, State
from streams.collect.live.metrics import Levels

STATES: tuple[State, ...] = ("joined", "joined", "joined", "moving", "joining", "parked", "wanted", "leaving")


def channel(login: str, state: State = "joined", reason: str = "", retry_at_ms: int | None = None) -> ChannelState:
    return ChannelState(login, None, state, reason, 0, retry_at_ms, 1, 0, ())


def seen(states: list[ChannelState], activity: dict[str, Activity] | None = None, **more: object) -> Seen:
    joined = sum(state.state in ("joined", "moving") for state in states)
    parked = sum(state.state == "parked" for state in states)
    levels = Levels(len(states), joined, 0, 0, parked, 1)
    given: dict[str, object] = {"queue": Queue(), **more}
    return Seen("irc.chat.twitch.tv:6697", 3_725.0, 10_000_000, states, activity or {}, levels, **given)  # type: ignore[arg-type]


def lines(one: Seen, rates: dict[str, float], width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(picture(one, rates, width, height))
    return capture.get().splitlines()


def first_words(text: list[str]) -> list[str]:
    return [line.split()[0] for line in text if line.strip()]


@pytest.mark.parametrize("width", [20, 30, 44, 52, 60, 68, 80, 120, 250])
@pytest.mark.parametrize("height", [4, 8, 24, 40])
def test_every_terminal_is_fitted(width: int, height: int, seed: int) -> None:
    chance = random.Random(seed)
    states = [
        channel("x" * chance.randrange(1, 64), chance.choice(STATES), "a reason " * chance.randrange(20), 10_100_000)
        for _ in range(60)
    ]
    activity = {one.login: Activity(chance.randrange(10**9), 1, 3_600_000, 10**7, 12_345) for one in states}
    rates = {one.login: chance.choice((0.0, 3.4, 99_999.0)) for one in states}
    one = seen(states, activity, queue=Queue(10**6, 10**9), troubles=["t" * 300], messages=["m" * 300] * 9)
    text = lines(one, rates, width, height)
    assert max(map(len, text)) <= width
    assert len(text) <= max(height, 6)


def test_the_busiest_channels_stand_first() -> None:
    text = lines(seen([channel("b"), channel("a"), channel("c")]), {"a": 1.0, "b": 1.01, "c": 7.0})
    assert first_words(text)[2:] == ["c", "a", "b"]  # equal as shown: by name


def test_channels_that_are_not_heard_are_seen_whatever_else_there_is() -> None:
    states = [channel(f"good{n}") for n in range(100)]
    states += [channel("bad", "parked", "suspended", 10_090_000), channel("late", "wanted")]
    text = lines(seen(states), {f"good{n}": 5.0 for n in range(100)})
    assert any(line.startswith("bad") and "suspended, again in 1m30" in line for line in text)
    assert any(line.startswith("… and ") and line.endswith(" more") for line in text)
    assert first_words(text)[1:4] == ["channel", "good0", "good1"]


def test_numbers_of_a_channel_are_its_own() -> None:
    activity = {"a": Activity(500, 10_000_000 - 65_000, 57 * 60_000, 3, 12)}
    row = next(line for line in lines(seen([channel("a")], activity), {"a": 12.34}) if line.startswith("a "))
    assert row.split() == ["a", "joined", "12.3", "1m05", "57m", "3", "12"]


def test_nothing_steers_the_terminal() -> None:
    hostile = "\x1b[2J\x07\u202e\r\n"
    one = seen([channel("a", "parked", hostile)], troubles=[hostile], messages=[hostile])
    text = "\n".join(lines(one, {}))
    assert not set(text) & {"\x1b", "\x07", "\r", "\u202e"}


def test_rates_are_events_a_second_smoothed() -> None:
    rates = Rates()
    assert rates.look(0.0, {"a": Activity(1_000)}) == {}
    now: dict[str, float] = {}
    for second in range(1, 120):
        now = dict(rates.look(float(second), {"a": Activity(1_000 + 50 * second), "new": Activity(5)}))
        assert now["a"] <= 50
    assert now["a"] == pytest.approx(50, rel=0.01) and now["new"] == 0


def test_a_rate_is_never_below_nothing() -> None:
    rates = Rates()
    rates.look(0.0, {"a": Activity(100)})
    assert rates.look(1.0, {"a": Activity(2)}) == {"a": 0.0}
