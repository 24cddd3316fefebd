"""`verify` finds whatever was changed, and names it; an auditor without the pepper can check all but the refs."""

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard

from schemas.errors import TwzrdError
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.replay.against import verify_against
from streams.replay.folding import FoldOptions
from streams.replay.output import DEAD, PRIVATE, SEALS, read_private
from streams.replay.run import replay
from streams.replay.seal_lines import SealLine, VerifyError
from streams.replay.verify import verify_folder

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


def test_a_weight_that_no_header_holds_is_a_finding_against_the_raw_log_too(folder: Path, shared_dir: Path) -> None:
    change_line(folder, lambda line: line.update(total_weight_centi="9" * 20))
    result = verify_against(folder, [str(source(shared_dir))], OPTIONS, with_pepper=True)
    assert [finding.what for finding in result.findings if "seal header" in finding.what]


def test_a_seal_that_promises_more_leaves_than_memory_holds_is_a_finding(folder: Path) -> None:
    def promise(line: dict[str, Any]) -> None:
        line["leaf_count"] = 2**32 - 1
        line["seal_hash"] = msgspec.convert(line, SealLine).header().hash().hex()

    change_line(folder, promise)
    findings = verify_folder(folder).findings
    assert [finding.what.endswith("it cannot hold 4294967295 leaves") for finding in findings][:1] == [True]


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
    first = verify_folder(folder).findings[0]
    changed = json.loads((folder / SEALS).read_text().splitlines()[2])
    assert str(changed["epoch_start_s"]) in first.where
    assert changed["channel"] in first.where


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
    assert "outside" in verify_folder(folder).findings[0].what


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
    findings = verify_against(folder, [str(source(shared_dir))], OPTIONS, with_pepper=True).findings
    assert any("the folder has none" in finding.what for finding in findings)
    assert any("no seal names" in finding.what for finding in verify_folder(folder).findings)
    (folder / SEALS).write_text("".join([lines[0], *lines]))
    assert "twice" in verify_folder(folder).findings[0].what
    (folder / SEALS).write_text("".join(reversed(lines)))
    assert "wrong place" in verify_folder(folder).findings[0].what


def test_a_wrong_pepper_is_named(folder: Path, shared_dir: Path) -> None:
    wrong = FoldOptions(OPTIONS.schedule, b"\x12" * 32)
    with pytest.raises(VerifyError, match="pepper"):
        verify_against(folder, [str(source(shared_dir))], wrong, with_pepper=True)


def test_a_damaged_seals_file_is_named_by_line(folder: Path) -> None:
    (folder / SEALS).write_text((folder / SEALS).read_text()[:-20])
    with pytest.raises(VerifyError, match=r"seals\.jsonl line 7"):
        verify_folder(folder)


def swap(one: Path, other: Path) -> None:
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)


def rewritten(folder: Path, change: Callable[[list[Any]], object]) -> None:
    """The private file with one record changed."""
    records: list[list[Any]] = [
        [one.channel, one.epoch_start_s, one.revision, one.identities, one.logins]
        for one in read_private(folder / PRIVATE)
    ]
    change(records[0])
    packed = [msgspec.msgpack.encode(record) for record in records]
    data = b"".join(len(one).to_bytes(4, "little") + one for one in packed)
    (folder / PRIVATE).write_bytes(zstandard.compress(data))


def dead(line: int) -> bytes:
    return json.dumps(
        {"v": 1, "what": "line", "where": {"file": "x", "line": line}, "reason": "why", "hash": "00" * 32, "length": 1}
    ).encode()


TAMPERED: dict[str, Callable[[Path], object]] = {
    "a file added": lambda folder: (folder / "leaves" / "new.leaves.zst").write_bytes(b""),
    "a dump of no seal": lambda folder: shutil.copy(dumps(folder)[0], dumps(folder)[0].with_name("7.0.leaves.zst")),
    "two dumps swapped": lambda folder: swap(*dumps(folder)[:2]),
    "junk behind a dump": lambda folder: dumps(folder)[0].write_bytes(dumps(folder)[0].read_bytes() + b"junk"),
    "a bomb for a dump": lambda folder: dumps(folder)[0].write_bytes(zstandard.compress(bytes(200_000_000))),
    "the policy changed": lambda folder: change_line(folder, lambda line: line["policy"].update(grace_s=60)),
    "coverage that is none": lambda folder: change_line(folder, lambda line: line.update(coverage=[[5, 4, "live"]])),
    "dead letters that are none": lambda folder: (folder / DEAD).write_bytes(b"{}"),
    "private records taken": lambda folder: (folder / PRIVATE).write_bytes(b""),
    "a private name taken": lambda folder: rewritten(folder, lambda record: record[3].pop()),
}


def dumps(folder: Path) -> list[Path]:
    return sorted((folder / "leaves").glob("*/*.zst"))


@pytest.mark.parametrize("tampered", TAMPERED)
def test_whatever_was_tampered_with_is_found(folder: Path, tampered: str) -> None:
    TAMPERED[tampered](folder)
    assert verify_folder(folder).findings


PRIVATELY_TAMPERED: dict[str, Callable[[list[Any]], object]] = {
    "names swapped": lambda record: record[3].reverse(),
    "another name": lambda record: record[3].__setitem__(0, "twitch:id:1"),
}


@pytest.mark.parametrize("tampered", PRIVATELY_TAMPERED)
def test_with_the_pepper_every_private_name_is_checked(folder: Path, tampered: str) -> None:
    assert verify_folder(folder, pepper=OPTIONS.pepper).findings == []
    rewritten(folder, PRIVATELY_TAMPERED[tampered])
    assert verify_folder(folder).findings == []
    (finding,) = verify_folder(folder, pepper=OPTIONS.pepper).findings
    assert "not that of the viewer" in finding.what


@pytest.mark.parametrize("at", range(0, 2_000, 97))
def test_any_changed_byte_of_the_private_file_is_found(folder: Path, at: int) -> None:
    data = bytearray((folder / PRIVATE).read_bytes())
    data[at % len(data)] ^= 1
    (folder / PRIVATE).write_bytes(data)
    assert verify_folder(folder, pepper=OPTIONS.pepper).findings


def test_against_the_raw_log_logins_and_dead_letters_are_compared(folder: Path, shared_dir: Path) -> None:
    raw = [str(source(shared_dir))]
    kept = (folder / PRIVATE).read_bytes()
    rewritten(folder, lambda record: record[4].__setitem__(0, "somebody_else"))
    (finding,) = verify_against(folder, raw, OPTIONS, with_pepper=True).findings
    assert "logins" in finding.what
    (folder / PRIVATE).write_bytes(kept)
    bad = folder.parent / "bad.irc"
    bad.write_bytes(source(shared_dir).read_bytes() + b"junk\n")
    (finding,) = verify_against(folder, [str(bad)], OPTIONS, with_pepper=False).findings
    assert finding.where == DEAD
    assert "line 409" in finding.what
    (folder / DEAD).write_bytes(dead(7))
    (finding,) = verify_against(folder, raw, OPTIONS, with_pepper=False).findings
    assert "line 7" in finding.what
    (folder / DEAD).unlink()  # what is public alone
    (folder / PRIVATE).unlink()
    assert verify_against(folder, raw, OPTIONS, with_pepper=False).findings == []


HOSTILE: list[dict[str, Any]] = [
    {"leaf_count": 2**31},
    {"leaf_count": 2**64},
    {"leaf_count": -1},
    {"total_weight_centi": "٣"},
    {"total_weight_centi": "99999999999999999999"},
    {"coverage": [[0, 1, "dead"]]},
    {"coverage": [[-1, 2**70, "live"]]},
    {"channel": "x" * 70_000},
    {"leaves": "leaves/\0"},
    {"leaves": "leaves/" + "x" * 300},
    {"policy": {"version": 1}},
    {"root": "ab"},
    {"epoch_start_s": 2**64},
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: str(hostile)[:40])
def test_a_hostile_line_is_a_finding_or_an_error_and_no_fault_of_ours(
    folder: Path, shared_dir: Path, hostile: dict[str, Any]
) -> None:
    def change(line: dict[str, Any]) -> None:
        line.update(hostile)
        with suppress(TwzrdError, msgspec.ValidationError):  # with the hash that fits it, so that more is looked at
            line["seal_hash"] = msgspec.convert(line, SealLine).header().hash().hex()

    change_line(folder, change)
    try:
        findings = verify_folder(folder).findings
        findings += verify_against(folder, [str(source(shared_dir))], OPTIONS, with_pepper=False).findings
    except TwzrdError:
        return
    assert findings
