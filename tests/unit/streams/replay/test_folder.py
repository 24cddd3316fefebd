"""The folder of a replay is one whole result or none: nothing of an earlier one is lost, nothing of two is mixed."""

import gzip
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from schemas.columns import EventColumns
from schemas.dead import DeadLetter
from schemas.envelope import encode
from schemas.errors import TwzrdError
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.collect.derived_ids import DerivedIds
from streams.collect.files.errors import SourceError
from streams.collect.spilling import SpillError
from streams.log.archive import write_archive
from streams.log.port import LogRecord
from streams.replay.folder import OutputWriter
from streams.replay.folding import Folding, FoldOptions
from streams.replay.output import DEAD, LEAVES, PRIVATE, SEALS, OutputError
from streams.replay.run import Replayed, replay
from streams.replay.verify import verify_folder

AT_MS = 1_767_225_600_000


def options(jobs: int = 1) -> FoldOptions:
    return FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, jobs=jobs)


def line(channel_id: int, channel: str, at_ms: int = AT_MS, viewer: int = 5) -> str:
    tags = f"@id=odd-{channel_id}-{at_ms}-{viewer};room-id={channel_id};user-id={viewer};tmi-sent-ts={at_ms}"
    return f"{tags} :viewer_{viewer}!v@v PRIVMSG #{channel} :some words\n"


def holds(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "chat.irc"
    path.write_text("".join(line(1, "chan", AT_MS + hour * 3_600_000) for hour in range(5)))
    return path


@pytest.fixture
def earlier(tmp_path: Path, log: Path) -> Path:
    out = tmp_path / "out"
    replay([str(log)], out, options())
    return out


def test_a_missing_input_leaves_an_earlier_result_as_it_was(earlier: Path, tmp_path: Path) -> None:
    before = holds(earlier)
    with pytest.raises(SourceError, match="nowhere"):
        replay([str(tmp_path / "nowhere.irc")], earlier, options())
    assert holds(earlier) == before


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of reading."""


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_interruption_leaves_an_earlier_result_as_it_was(earlier: Path, log: Path, jobs: int) -> None:
    before = holds(earlier)

    def interrupt(source: str, taken: int, lines: int) -> None:
        raise Interrupted

    with pytest.raises(Interrupted):
        replay([str(log)], earlier, options(jobs), interrupt)
    assert holds(earlier) == before


def test_a_replay_that_was_killed_leaves_nothing_to_the_next(earlier: Path, log: Path) -> None:
    before = holds(earlier)
    child = os.fork()
    if child == 0:

        def die(source: str, taken: int, lines: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        replay([str(log)], earlier, options(), die)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert set(holds(earlier)) > set(before)  # its parts lie beside the earlier result
    assert verify_folder(earlier).findings == []
    replay([str(log)], earlier, options())
    assert set(holds(earlier)) == set(before)


def test_two_replays_do_not_write_one_folder(earlier: Path, log: Path) -> None:
    before = holds(earlier)
    with OutputWriter(earlier), pytest.raises(OutputError, match="another replay"):
        replay([str(log)], earlier, options())
    assert holds(earlier) == before
    replay([str(log)], earlier, options())


@pytest.mark.parametrize("name", ["thesis.txt", "dead.txt", "seals.bak", "leaves/thesis.txt", "leaves/chan/notes"])
def test_a_folder_that_holds_something_else_is_left_alone(earlier: Path, log: Path, name: str) -> None:
    (earlier / name).write_text("mine")
    before = holds(earlier)
    with pytest.raises(OutputError, match=name):
        replay([str(log)], earlier, options())
    assert holds(earlier) == before


@contextmanager
def full_disk(room_bytes: int) -> Iterator[None]:
    """No file can grow beyond this: what writes more is told so by the system, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_fills_with_dead_letters_is_one_clear_error(earlier: Path, tmp_path: Path) -> None:
    before = holds(earlier)
    junk = tmp_path / "junk.irc"
    junk.write_text(line(1, "chan") + "junk\n" * 2_000)
    with full_disk(100_000), pytest.raises(OutputError, match="make room"):
        replay([str(junk)], earlier, options())
    assert holds(earlier) == before


@pytest.mark.parametrize("room_bytes", [30, 300, 3_000])
def test_a_disk_that_is_full_at_any_moment_leaves_an_earlier_result(
    earlier: Path, tmp_path: Path, room_bytes: int
) -> None:
    before = holds(earlier)
    source = tmp_path / "more.irc"
    source.write_text("".join(line(1, "chan", AT_MS + at * 1_800_000, at) for at in range(40)))
    with full_disk(room_bytes), pytest.raises(TwzrdError, match="make room"):
        replay([str(source)], earlier, options())
    assert holds(earlier) == before


def test_a_login_of_digits_takes_no_other_channels_folder(tmp_path: Path) -> None:
    log = tmp_path / "chat.irc"
    # Channels 1 and 3 bore one login, so the second goes by its id; that id is the login of channel 2.
    log.write_text("".join(line(*channel) for channel in ((1, "foo"), (2, "3"), (3, "foo"))))
    replay([str(log)], tmp_path / "out", options())
    result = verify_folder(tmp_path / "out")
    assert (result.seals, result.findings) == (3, [])
    assert len({path.parent for path in (tmp_path / "out" / LEAVES).glob("*/*")}) == 3


def archived(root: Path, hours: int, offset: int = 0) -> Path:
    """An archive of one channel, a file an hour; the last hour is in two of them."""
    records: list[tuple[int, LogRecord]] = []
    for half in range(2 * hours):
        at = np.arange(3, dtype=np.int64) + AT_MS + half * 1_800_000
        n = len(at)
        ids = np.frombuffer(b"".join(bytes([half, row]) * 8 for row in range(n)), np.uint8).reshape(-1, 16)
        zeros = np.zeros(n, np.uint8)
        events = EventColumns(
            [(f"twitch:id:{1 + half}", f"viewer_{half}")],
            at,
            ids,
            zeros,
            zeros.astype(np.uint32),
            np.zeros(n, np.uint32),
        )
        value = encode("events", "twitch:id:9", "chan", "test", half, None, events)
        records.append((0, LogRecord(offset + half, b"twitch:id:9", value, AT_MS)))
    end = encode("end", "twitch:id:9", "chan", "test", 2 * hours)
    records.append((0, LogRecord(offset + 2 * hours, b"twitch:id:9", end, AT_MS)))
    for part, (first, last) in enumerate(((0, 3), (3, len(records)))):
        write_archive(root / str(part), records[first:last])
    return root


def test_the_files_of_an_archive_one_by_one_are_the_archive(tmp_path: Path) -> None:
    root = archived(tmp_path / "archive", 2)
    files = sorted(map(str, root.rglob("*.parquet")))
    assert len(files) > 1
    whole = replay([str(root)], tmp_path / "whole", options())
    assert whole.tally.seals == 2
    assert replay(files, tmp_path / "files", options()) == whole
    assert replay([*files, str(root)], tmp_path / "twice", options()) == whole


def test_an_hour_from_lines_and_from_the_archive_is_an_error(tmp_path: Path) -> None:
    root, log = archived(tmp_path / "archive", 1), tmp_path / "chat.irc"
    log.write_text(line(9, "chan"))
    with pytest.raises(OutputError, match=f"twitch:id:9 at {AT_MS // 1000} twice"):
        replay([str(root), str(log)], tmp_path / "out", options())
    assert holds(tmp_path / "out") == {}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_folder_that_is_no_archive_is_named_and_the_rest_goes_on(log: Path, tmp_path: Path, jobs: int) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "chat.irc").write_text(line(1, "chan"))
    done = replay([str(tmp_path / "logs"), str(log)], tmp_path / "out", options(jobs))
    assert done.tally.seals == 5
    (failed,) = done.tally.failed_inputs
    assert "logs holds no files of the archive" in failed
    assert len((tmp_path / "out" / DEAD).read_text().splitlines()) == done.tally.malformed == 1


def test_a_file_name_that_is_no_text_is_named_all_the_same(tmp_path: Path) -> None:
    log = Path(os.fsdecode(os.fsencode(tmp_path) + b"/chat\xff.irc"))
    log.write_text(line(1, "chan") + "junk\n")
    done = replay([str(log)], tmp_path / "out", options())
    assert done.tally.malformed == 1
    assert "chat\\\\xff.irc" in (tmp_path / "out" / DEAD).read_text()


def test_dead_letters_and_seals_take_their_places_together(tmp_path: Path) -> None:
    with OutputWriter(tmp_path / "out") as writer:
        writer.dead(DeadLetter(1, "line", {"file": "x", "line": 1}, "why", "00", 0))
        assert not (tmp_path / "out" / DEAD).exists()
        writer.finish()
    assert set(holds(tmp_path / "out")) == {DEAD, PRIVATE, SEALS}


def test_a_truncated_file_is_named_by_line_in_what_failed(tmp_path: Path, log: Path) -> None:
    whole = gzip.compress(log.read_bytes())
    torn = tmp_path / "torn.irc.gz"
    torn.write_bytes(whole[:-12])
    done: list[Replayed] = [replay([str(torn), str(log)], tmp_path / "out", options(jobs)) for jobs in (1, 2)]
    assert done[0] == done[1]
    (failed,) = done[0].tally.failed_inputs
    assert failed.startswith(f"{torn} line ")
    assert failed.endswith("gzip data ends early")
    assert done[0].tally.lines == done[0].tally.events + done[0].tally.malformed


@pytest.mark.parametrize("room_bytes", [0, 500])
@pytest.mark.parametrize("kept", ["derived ids", "open epochs"])
def test_a_disk_without_room_for_temporary_files_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, room_bytes: int
) -> None:
    source = tmp_path / "log.tsv"
    source.write_text("".join(f"2026-01-01 00:00:{second:02},000\tann\thi\n" for second in range(60)) * 2)
    budget_bytes = 1 if kept == "open epochs" else 1 << 28
    settings = FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32, budget_bytes=budget_bytes)
    if kept == "derived ids":
        monkeypatch.setattr(DerivedIds.__init__, "__defaults__", (10,))
    folding = Folding(settings, lambda letter: None)
    with full_disk(room_bytes), pytest.raises(SpillError, match="TMPDIR"):
        folding.take([str(source)])
