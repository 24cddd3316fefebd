"""Where the archive puts a record, and what a row says of it."""

import pytest

from schemas.envelope import encode, encode_reseal
from streams.log.archive.layout import MAX_FOLDER_CHARS, UNREADABLE, file_name, folder_of, parse_file, row_of
from streams.log.port import LogRecord
from tests.archive_records import DAY_MS, NOON_DAY, NOON_MS, record


def test_a_row_says_what_the_envelope_says_and_keeps_its_bytes() -> None:
    made = record(5, "ann", channel="twitch:id:42")
    row = row_of(3, made)
    assert (row.partition, row.offset, row.key, row.envelope) == (3, 5, b"twitch:id:42", made.value)
    assert (row.channel, row.login, row.type, row.seq, row.events) == ("twitch:id:42", "ann", "events", 5, 3)
    assert (row.observed_from_ms, row.observed_to_ms, row.observed_kind) == (NOON_MS, NOON_MS + 3, "live")
    assert (row.at_min_ms, row.at_max_ms) == (NOON_MS, NOON_MS + 2)
    assert folder_of(row) == f"ann/{NOON_DAY}"


def test_a_channel_without_login_has_its_id_as_folder() -> None:
    row = row_of(0, LogRecord(0, b"", encode("tick", "twitch:id:42", "", "s", 0, (NOON_MS, NOON_MS + 9, "live")), 0))
    assert folder_of(row) == f"42/{NOON_DAY}"


def test_the_day_is_that_of_the_first_moment_in_utc() -> None:
    midnight_ms = NOON_MS + DAY_MS // 2
    assert folder_of(row_of(0, record(0, at_ms=midnight_ms - 1))) == f"ann/{NOON_DAY}"
    assert folder_of(row_of(0, record(0, at_ms=midnight_ms))) == "ann/2026-05-29"


def test_a_reseal_record_lies_in_the_day_of_its_epoch() -> None:
    value = encode_reseal("twitch:id:42", "ann", "s", 0, (NOON_MS - DAY_MS) // 1000, 3600)
    assert folder_of(row_of(0, LogRecord(0, b"", value, NOON_MS))) == "ann/2026-05-27"


@pytest.mark.parametrize("value", [b"", b"junk", record(0).value[:-1], b"\x91\x63" + bytes(40)])
def test_what_does_not_decode_is_kept_under_its_key(value: bytes) -> None:
    row = row_of(0, LogRecord(9, b"twitch:login:ann", value, NOON_MS))
    assert (row.type, row.envelope, row.events) == (UNREADABLE, value, 0)
    assert folder_of(row) == f"ann/{NOON_DAY}"
    assert row.span_ms() is None


@pytest.mark.parametrize(
    "name", ["..", ".", "/etc/passwd", "a/b", "%2e%2e", "A", "ü" * 90, "", "\0", "a" * 101, "\ud800"]
)
def test_no_name_leaves_its_folder_or_meets_another(name: str) -> None:
    key = name.encode("utf-8", "surrogatepass")
    folder = folder_of(row_of(0, LogRecord(0, key, b"junk", NOON_MS)))
    first, day = folder.split("/")
    assert day == NOON_DAY
    assert first not in {"", ".", ".."}
    assert not first.startswith(".")
    assert len(first) <= MAX_FOLDER_CHARS
    assert first.isascii()
    assert folder != folder_of(row_of(0, LogRecord(0, b"a", b"junk", NOON_MS)))


@pytest.mark.parametrize("time_ms", [-1, 2**62, -(2**62)])
def test_a_log_time_out_of_any_calendar_still_has_a_place(time_ms: int) -> None:
    assert folder_of(row_of(0, LogRecord(0, b"k", b"junk", time_ms))).startswith("k/")


def test_file_names_are_read_back_and_others_passed_over(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / file_name(3, 10, 25)
    found = parse_file(path)
    assert found is not None
    assert found[:3] == (3, 10, 25)
    for other in (".writing-3-1-2.parquet", "3-2-1.parquet", "x.parquet", "3-1-2.parquet.tmp", f"1-1-{2**64}.parquet"):
        assert parse_file(tmp_path / other) is None
