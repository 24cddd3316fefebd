"""`verify` finds whatever was changed, and names it; an auditor without the pepper can check all but the refs."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.replay.folding import FoldOptions
from streams.replay.output import SEALS
from streams.replay.run import replay
from streams.replay.verify import SealLine, VerifyError, verify_against, verify_folder

OPTIONS = FoldOptions(PolicySchedule.of(DEFAULT_POLICY), b"\x11" * 32)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory, shared_dir: Path) -> Path:
    out = tmp_path_factory.mktemp("replayed") / "out"
    replay([str(source(shared_dir))], out, OPTIONS)
    return out


@pytest.fixture
def folder(replayed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(replayed, tmp_path / "out"))


def source(shared_dir: Path) -> Path:
    return shared_dir / "vectors/seals/kinds_400.irc"


def change_line(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    lines = [json.loads(line) for line in (folder / SEALS).read_text().splitlines()]
    change(lines[2])
    (folder / SEALS).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_an_untouched_folder_is_good(folder: Path, shared_dir: Path) -> None:
    result = verify_folder(folder)
    assert (result.seals, result.findings) == (7, [])
    assert result.digest == "acf714ce1a9e07f7d3343dec531bb6dd98a52d0503651a4df3a89fdafe57b826"
    for with_pepper in (True, False):
        again = verify_against(folder, [str(source(shared_dir))], OPTIONS, with_pepper=with_pepper)
        assert (again.compared, again.findings) == (7, [])


@pytest.mark.parametrize(
    "change",
    [
        {"leaf_count": 2**40},
        {"leaf_count": -1},
        {"revision": 70_000},
        {"channel": "x" * 70_000},
        {"coverage": [[1, 2, "seen"]]},
        {"coverage": [[-1, 2, "live"]]},
        {"root": "00"},
        {"input_digest": "00" * 33},
    ],
    ids=str,
)
def test_a_value_that_fits_no_header_is_one_finding_and_no_crash(folder: Path, change: dict[str, Any]) -> None:
    change_line(folder, lambda line: line.update(change))
    result = verify_folder(folder)
    assert (result.seals, len(result.findings)) == (7, 1)


def test_a_seal_that_promises_more_leaves_than_memory_holds_is_a_finding(folder: Path) -> None:
    def promise(line: dict[str, Any]) -> None:
        line["leaf_count"] = 2**32 - 1
        line["seal_hash"] = msgspec.convert(line, SealLine).header().hash().hex()

    change_line(folder, promise)
    assert [finding.what for finding in verify_folder(folder).findings] == [
        "leaf dump has 4608 bytes; 4294967295 leaves take 412316860320"
    ]


FIELDS = [
    "root",
    "policy_hash",
    "input_digest",
    "coverage_hash",
    "pepper_commit",
    "seal_hash",
    "leaf_count",
    "total_weight_centi",
    "total_messages",
    "epoch_start_s",
    "revision",
]


@pytest.mark.parametrize("field", FIELDS)
def test_any_changed_field_is_found(folder: Path, field: str) -> None:
    def change(line: dict[str, Any]) -> None:
        value = line[field]
        if isinstance(value, int):
            line[field] = value + 1
        elif value.isdigit() and len(value) < 64:
            line[field] = str(int(value) + 1)
        else:
            line[field] = ("0" if value[0] != "0" else "1") + value[1:]

    change_line(folder, change)
    assert len(verify_folder(folder).findings) == 1


def test_any_changed_byte_of_a_leaf_dump_is_found(folder: Path) -> None:
    path = next((folder / "leaves").glob("*/*.zst"))
    dump = bytearray(zstandard.ZstdDecompressor().decompress(path.read_bytes()))
    for at in range(0, 192):
        changed = bytes(dump[:at]) + bytes([dump[at] ^ 1]) + bytes(dump[at + 1 :])
        path.write_bytes(zstandard.ZstdCompressor().compress(changed))
        assert len(verify_folder(folder).findings) == 1, f"byte {at}"


def test_a_missing_and_a_longer_dump_are_found(folder: Path) -> None:
    one, two = sorted((folder / "leaves").glob("*/*.zst"))[:2]
    one.unlink()
    dump = zstandard.ZstdDecompressor().decompress(two.read_bytes())
    two.write_bytes(zstandard.ZstdCompressor().compress(dump + dump[:96]))
    assert len(verify_folder(folder).findings) == 2


def test_a_dump_path_cannot_leave_the_folder(folder: Path) -> None:
    change_line(folder, lambda line: line.update(leaves="leaves/../../../etc/passwd"))
    (finding,) = verify_folder(folder).findings
    assert "outside" in finding.what


@pytest.mark.parametrize("with_pepper", [True, False])
def test_a_raw_log_with_one_line_less_differs(
    folder: Path, shared_dir: Path, tmp_path: Path, with_pepper: bool
) -> None:
    lines = source(shared_dir).read_bytes().splitlines(keepends=True)
    shorter = tmp_path / "shorter.irc"
    shorter.write_bytes(b"".join(lines[1:]))
    result = verify_against(folder, [str(shorter)], OPTIONS, with_pepper=with_pepper)
    assert len(result.findings) == 1
    assert "twitch:id:24757" in result.findings[0].where


def test_a_seal_too_many_and_one_too_few_are_found(folder: Path, shared_dir: Path) -> None:
    lines = (folder / SEALS).read_text().splitlines(keepends=True)
    (folder / SEALS).write_text("".join(lines[1:]))
    (missing,) = verify_against(folder, [str(source(shared_dir))], OPTIONS, with_pepper=True).findings
    assert "the folder has none" in missing.what


def test_a_wrong_pepper_is_named(folder: Path, shared_dir: Path) -> None:
    wrong = FoldOptions(OPTIONS.schedule, b"\x12" * 32)
    with pytest.raises(VerifyError, match="pepper"):
        verify_against(folder, [str(source(shared_dir))], wrong, with_pepper=True)


def test_a_damaged_seals_file_is_named_by_line(folder: Path) -> None:
    (folder / SEALS).write_text((folder / SEALS).read_text()[:-20])
    with pytest.raises(VerifyError, match=r"seals\.jsonl line 7"):
        verify_folder(folder)
