"""The times of the last JOINs over restarts: never fewer than were sent, whatever the clocks do meanwhile."""

from pathlib import Path

import pytest

from streams.collect.live.join_times import JoinTimes
from streams.collect.live.metrics import CollectMetrics
from streams.collect.live.pacing import JOINS, WINDOW_S, Pacing

WALL_S = 1_767_225_600.0


class Process:
    """One process on a machine whose clocks stand so."""

    def __init__(self, folder: Path, steady_s: float, wall_s: float = WALL_S) -> None:
        self.steady_s, self.wall_s = steady_s, wall_s
        self.metrics = CollectMetrics()
        self.times = JoinTimes(folder / "joins.json", self.metrics, lambda: self.steady_s, lambda: self.wall_s)
        self.pacing = Pacing(granted=self.times.load(JOINS), keep=self.times.save)

    def join(self, count: int) -> None:
        assert all(self.pacing.take(self.steady_s) for _ in range(count))
        self.pacing.settle()

    @property
    def wait_s(self) -> float:
        return self.pacing.wait_s(self.steady_s)


def test_a_first_start_waits_for_nothing(tmp_path: Path) -> None:
    assert Process(tmp_path, 100.0).wait_s == 0.0


def test_a_process_that_was_killed_has_used_its_window_and_the_next_one_waits_for_the_rest(tmp_path: Path) -> None:
    first = Process(tmp_path, 100.0)
    first.join(10)
    first.steady_s, first.wall_s = 104.0, WALL_S + 4
    first.join(8)
    second = Process(tmp_path, 106.0, WALL_S + 6)
    assert second.wait_s == pytest.approx(WINDOW_S - 6)
    second.steady_s += second.wait_s + 0.001
    second.join(10)
    assert second.wait_s == pytest.approx(4.0, abs=0.01), "the eight of the first process count on"
    third = Process(tmp_path, 200.0, WALL_S + 100)
    assert third.wait_s == 0.0


def test_a_hold_outlives_the_process(tmp_path: Path) -> None:
    Process(tmp_path, 100.0).pacing.hold(100.0)
    assert Process(tmp_path, 101.0, WALL_S + 1).wait_s == pytest.approx(WINDOW_S - 1)


@pytest.mark.parametrize(
    ("steady_s", "wall_s", "waits_s"),
    [
        (102.0, WALL_S + 3_602, WINDOW_S - 2),  # the wall clock was set forward
        (102.0, WALL_S - 3_600, WINDOW_S),  # and back: never longer than a window
        (5.0, WALL_S + 60, 0.0),  # the machine was started again
        (5.0, WALL_S + 2, WINDOW_S - 2),
        (5.0, WALL_S - 60, WINDOW_S),  # and its wall clock is wrong
        (9_000.0, WALL_S + 1, WINDOW_S - 1),  # another machine with the same home
    ],
)
def test_neither_clock_alone_is_believed(tmp_path: Path, steady_s: float, wall_s: float, waits_s: float) -> None:
    Process(tmp_path, 100.0).join(JOINS)
    assert Process(tmp_path, steady_s, wall_s).wait_s == pytest.approx(waits_s)


@pytest.mark.parametrize(
    "damaged",
    [b"", b"{", b"[]", b"\xff\xfe", b'{"v":2,"joins":[]}', b'{"v":1,"joins":[[1]]}', b'{"v":1,"joins":["x"]}'],
)
def test_a_damaged_file_stands_for_a_window_just_used(tmp_path: Path, damaged: bytes) -> None:
    (tmp_path / "joins.json").write_bytes(damaged)
    one = Process(tmp_path, 100.0)
    assert one.wait_s == WINDOW_S and one.metrics.join_times_unreadable_total == 1


def test_more_times_than_the_window_takes_are_its_newest(tmp_path: Path) -> None:
    one = Process(tmp_path, 100.0)
    one.times.save([100.0 - number for number in range(500)])
    assert one.times.load(JOINS) == [100.0 - number for number in reversed(range(JOINS))]


def test_a_disk_that_refuses_is_counted_and_joins_go_on(tmp_path: Path) -> None:
    one = Process(tmp_path / "nowhere", 100.0)
    one.join(3)
    assert one.metrics.join_times_save_errors_total == 1
