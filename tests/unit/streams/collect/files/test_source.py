"""Any input: its format found out, every event read, everything else counted or dead, and errors that say where."""

import gzip
import io
import pickle
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from streams.collect.chunk import Chunk, DeadLine
from streams.collect.derived_ids import DerivedIds
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.files.errors import SourceError
from streams.collect.files.formats import FileFormat, Formats, ReadOptions
from streams.collect.files.source import FORMATS, Source, open_source

UUID = "0123abcd-4567-89ef-0123-4567890000"
Row = tuple[str, str, int, bytes, int, tuple[str, str], int]


def tagged(number: int, at_ms: int = 1_767_225_600_000) -> bytes:
    return f"@id={UUID}{number:02x};room-id=1;user-id=2;tmi-sent-ts={at_ms} :a!a@a PRIVMSG #c :hi\r\n".encode()


def rows(chunks: Iterator[Chunk] | list[Chunk]) -> list[Row]:
    return [
        (channel, login, int(e.at[i]), e.ids[i].tobytes(), int(e.kind[i]), e.viewers[e.who[i]], int(e.amount[i]))
        for chunk in chunks
        for channel, (login, e) in chunk.channels.items()
        for i in range(len(e))
    ]


def read(path: Path | str, options: ReadOptions | None = None) -> tuple[int, Counter[str], list[DeadLine]]:
    lines, counts, dead = 0, Counter[str](), list[DeadLine]()
    for chunk in open_source(path, options or ReadOptions()):
        lines, counts, dead = lines + chunk.lines, counts + chunk.counts, dead + chunk.dead
    assert counts["malformed"] == len(dead)
    return lines, counts, dead


@pytest.mark.parametrize(
    ("name", "form", "lines", "counts"),
    [
        ("data/forsen_2023-06-02.irc", "irc", 998, {"events": 998}),
        (
            "data/amaz_2019-05_untagged.log.gz",
            "stamped",
            12_200,
            {"events": 6_122, "blank_lines": 6_078},
        ),
        (
            "data/sodapoppin_2019-05_untagged.log.gz",
            "stamped",
            41_664,
            {"events": 21_114, "ignored_commands": 1, "blank_lines": 20_549},
        ),
        ("data/fl0m_2021-06.tsv.gz", "tsv", 191_062, {"events": 191_062}),
        (
            "vectors/seals/kinds_400.irc",
            "irc",
            408,
            {"events": 391, "shared_chat_copies": 12, "ignored_commands": 5},
        ),
    ],
)
def test_the_shared_files_are_known_by_content_and_read_without_a_dead_line(
    shared_dir: Path, name: str, form: str, lines: int, counts: dict[str, int]
) -> None:
    with Source(shared_dir / name) as source:
        assert source.format.name == form
    found_lines, found, dead = read(shared_dir / name)
    assert (found_lines, found, dead) == (lines, Counter(counts), [])


def test_one_stamp_outweighs_the_lines_that_inherit_it(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes("2019-05-16_08:47:10 — :a!a@a JOIN #c\n".encode() + b":b!b@b PRIVMSG #c :x\n" * 20)
    assert read(path)[1] == {"events": 20, "ignored_commands": 1}


@pytest.mark.parametrize("packed", [bytes, gzip.compress, zstandard.compress])
def test_packing_changes_nothing(tmp_path: Path, packed: Callable[[bytes], bytes]) -> None:
    data = b"".join(tagged(i) for i in range(200))
    path, plain = tmp_path / "some.file", tmp_path / "plain"
    path.write_bytes(packed(data))
    plain.write_bytes(data)
    assert rows(open_source(path)) == rows(open_source(plain))
    assert len(rows(open_source(path))) == 200


def test_standard_input_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(gzip.compress(tagged(1) + tagged(2)))

    monkeypatch.setattr(sys, "stdin", Stdin())
    assert read("-")[1] == {"events": 2}


def test_blocks_may_be_read_elsewhere_and_settled_in_order(shared_dir: Path) -> None:
    path = shared_dir / "vectors/seals/kinds_400.irc"
    with Source(path) as source:
        reader = pickle.loads(pickle.dumps(source.block_reader))
        derived = DerivedIds()
        chunks = [derived.settle(pickle.loads(pickle.dumps(reader(block)))) for block in source.blocks()]
        assert source.bytes_read == source.total_bytes == path.stat().st_size
    assert rows(chunks) == rows(open_source(path))


def test_an_empty_file_has_no_events(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "packed").write_bytes(gzip.compress(b""))
    assert read(tmp_path / "empty") == read(tmp_path / "packed") == (0, Counter(), [])


def test_of_a_truncated_gzip_all_before_is_used_and_the_end_is_one_dead_line(tmp_path: Path) -> None:
    # Lines that hardly compress, so that the cut falls into the middle of them.
    rng = random.Random(5)
    data = b"".join(tagged(i).replace(b":hi", rng.randbytes(90).hex().encode()) for i in range(256))
    packed = gzip.compress(data)
    path = tmp_path / "cut.irc.gz"
    path.write_bytes(packed[: len(packed) * 2 // 3])
    lines, counts, dead = read(path)
    assert 100 < counts["events"] < 220
    assert [(d.line_number, d.reason) for d in dead] == [(lines, "gzip data ends early")]
    assert lines == counts["events"] + 1
    assert rows(open_source(path)) == rows([parse_irc_chunk(data)])[: counts["events"]]
    path.write_bytes(packed[:8])
    assert [(d.line_number, d.reason, d.length) for d in read(path)[2]] == [(1, "gzip data ends early", 0)]


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_long_first_line_does_not_hide_the_form_of_the_others(
    tmp_path: Path, packed: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "log"
    path.write_bytes(packed(b"x" * 10_000_000 + b"\n" + tagged(1) + tagged(2)))
    lines, counts, dead = read(path)
    assert (lines, counts["events"]) == (3, 2)
    assert [(d.line_number, d.length) for d in dead] == [(1, 10_000_000)]


def test_bad_lines_are_dead_by_number_and_reason_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "bad.irc"
    path.write_bytes(
        tagged(1)
        + b"\x00\xff\xfebinary junk\x9c\n"
        + tagged(2, at_ms=1_000)  # 1970
        + tagged(3, at_ms=4_102_444_800_000)  # 2100
        + tagged(4).replace(b"user-id=2", b"user-id=two")
        + b"x" * 10_000_000
        + b"\n"
        + tagged(5).replace(b"PRIVMSG #c", b"PRIVMSG \xff\xfe")
        + tagged(6)
    )
    lines, counts, dead = read(path)
    assert (lines, counts["events"]) == (8, 2)
    assert [(d.line_number, d.reason) for d in dead] == [
        (2, "unknown command"),
        (3, "time is not in 2011..2099"),
        (4, "time is not in 2011..2099"),
        (5, "user-id is not a number"),
        (6, "line is longer than 65536 bytes"),
        (7, "no channel"),
    ]


def test_what_is_of_no_known_form_is_an_error_that_names_it_and_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "junk.bin"
    path.write_bytes(bytes(range(256)) * 500)
    with pytest.raises(SourceError, match=r"junk\.bin: none of its first .* --format \(irc, stamped, tsv, ndjson\)"):
        read(path)
    with pytest.raises(SourceError, match="'csv' is no format of such an input"):
        read(path, ReadOptions(format="csv"))
    with pytest.raises(SourceError, match=r"missing\.irc: cannot be opened: No such file"):
        read(tmp_path / "missing.irc")
    with pytest.raises(SourceError, match="cannot be"):
        read(tmp_path)


def test_a_given_format_is_not_doubted(tmp_path: Path) -> None:
    path = tmp_path / "junk.bin"
    path.write_bytes(b"\x01\x02\n" * 3)
    lines, counts, _ = read(path, ReadOptions(format="irc"))
    assert (lines, counts) == (3, {"malformed": 3})


def test_a_device_that_fails_is_an_error_with_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.irc"
    path.write_bytes(b"".join(tagged(i % 256) for i in range(2_000)))
    with Source(path) as source:

        def fail(size: int) -> bytes:
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(source._stream, "read", fail)
        with pytest.raises(SourceError, match=r"x\.irc: reading broke near line 1: Input/output error"):
            list(source.blocks())


def test_formats_of_whole_files_can_be_added(tmp_path: Path) -> None:
    seen: list[Path] = []

    def opened(path: Path, options: ReadOptions) -> Iterator[Chunk]:
        seen.append(path)
        yield Chunk(1, 3)

    archive = FileFormat("archive", lambda path, head: head.startswith(b"PAR1"), opened)
    formats = Formats(FORMATS.lines.values(), (archive,))
    path = tmp_path / "day"
    path.write_bytes(b"PAR1....")
    assert [chunk.lines for chunk in open_source(path, formats=formats)] == [3]
    path.write_bytes(tagged(1))
    assert [chunk.lines for chunk in open_source(path, formats=formats)] == [1]
    assert [chunk.lines for chunk in open_source(path, ReadOptions(format="archive"), formats)] == [3]
    assert seen == [path, path]
