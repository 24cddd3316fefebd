"""The seals of an independent slow program (../shared/vectors/seals) come out exactly, by every way a file is read."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import zstandard

from schemas import seal as layout
from schemas.policy import PolicySchedule, decode_policy
from streams.replay.folding import FoldOptions
from streams.replay.output import DEAD, PRIVATE, SEALS, OutputError, read_private
from streams.replay.run import Replayed, replay

VECTORS = {
    "four_channels_2026-03_2026-04": (
        "data/four_channels_2026-03_2026-04.irc.gz",
        "fbc2abccc1709b245e7207cf0a3f0849f5c0776f20da7695ca8d37171e6cdd1d",
    ),
    "forsen_2023-06-02": (
        "data/forsen_2023-06-02.irc",
        "78b223cd5486304da5708fa0ffa58be0447b220769374bb4ff44a257f6abfb51",
    ),
    "kinds_400": (
        "vectors/seals/kinds_400.irc",
        "acf714ce1a9e07f7d3343dec531bb6dd98a52d0503651a4df3a89fdafe57b826",
    ),
}


def run(shared_dir: Path, source: Path | str, out: Path, **more: Any) -> Replayed:
    policy = decode_policy((shared_dir / "vectors/seals/policy.json").read_bytes())
    return replay([str(source)], out, FoldOptions(PolicySchedule.of(policy), b"\x11" * 32, **more))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", VECTORS)
def test_every_field_of_every_seal_is_the_vectors(name: str, shared_dir: Path, tmp_path: Path) -> None:
    source, digest = VECTORS[name]
    done = run(shared_dir, shared_dir / source, tmp_path)
    ours = {(line["channel"], line["epoch_start_s"]): line for line in lines_of(tmp_path / SEALS)}
    wanted = lines_of(shared_dir / f"vectors/seals/{name}.seals.jsonl")
    assert len(ours) == len(wanted) == done.tally.seals
    for seal in wanted:
        mine = ours[seal["channel"], seal["epoch_start_s"]]
        assert {key: mine[key] for key in seal} == seal
    assert done.digest == digest


@pytest.mark.parametrize("jobs", [2, 3])
def test_jobs_do_not_change_the_digest(jobs: int, shared_dir: Path, tmp_path: Path) -> None:
    source, digest = VECTORS["four_channels_2026-03_2026-04"]
    plain = tmp_path / "plain.irc"
    plain.write_bytes(gzip.decompress((shared_dir / source).read_bytes()))
    assert run(shared_dir, plain, tmp_path / "ranges", jobs=jobs).digest == digest
    assert run(shared_dir, shared_dir / source, tmp_path / "blocks", jobs=jobs).digest == digest


def test_a_line_too_long_does_not_shift_the_ranges_of_a_file(shared_dir: Path, tmp_path: Path) -> None:
    lines = (shared_dir / VECTORS["kinds_400"][0]).read_bytes().splitlines(keepends=True)
    nameless = re.sub(rb";id=[^;]*", b"", lines[0])
    content = b"".join([*lines, b"\x00junk\n", b"x" * 9_000_000 + b"\n", *lines, b"more junk\n", nameless, nameless])
    source = tmp_path / "long.irc"
    source.write_bytes(content + b"y" * 5_000_000)
    done = [run(shared_dir, source, tmp_path / str(jobs), jobs=jobs) for jobs in (1, 2)]
    assert done[0] == done[1]
    assert (tmp_path / "1" / DEAD).read_bytes() == (tmp_path / "2" / DEAD).read_bytes()
    places = [letter["where"]["line"] for letter in lines_of(tmp_path / "1" / DEAD)]
    assert places == [len(lines) + 1, len(lines) + 2, 2 * len(lines) + 3, 2 * len(lines) + 6]


def test_spilling_to_disk_does_not_change_the_digest(shared_dir: Path, tmp_path: Path) -> None:
    source, digest = VECTORS["four_channels_2026-03_2026-04"]
    assert run(shared_dir, shared_dir / source, tmp_path, budget_bytes=100_000).digest == digest


def test_packing_does_not_change_the_digest(shared_dir: Path, tmp_path: Path) -> None:
    source, digest = VECTORS["kinds_400"]
    packed = tmp_path / "kinds.irc.zst"
    packed.write_bytes(zstandard.ZstdCompressor().compress((shared_dir / source).read_bytes()))
    assert run(shared_dir, packed, tmp_path / "out").digest == digest


def test_a_second_replay_replaces_what_the_first_left(shared_dir: Path, tmp_path: Path) -> None:
    run(shared_dir, shared_dir / VECTORS["kinds_400"][0], tmp_path)
    done = run(shared_dir, shared_dir / VECTORS["forsen_2023-06-02"][0], tmp_path)
    assert done.digest == VECTORS["forsen_2023-06-02"][1]
    assert [path.name for path in (tmp_path / "leaves").iterdir()] == ["forsen"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_private_file_names_the_leaves_in_their_order(shared_dir: Path, tmp_path: Path, jobs: int) -> None:
    run(shared_dir, shared_dir / VECTORS["kinds_400"][0], tmp_path, jobs=jobs)
    seals = {(line["channel"], line["epoch_start_s"], line["revision"]): line for line in lines_of(tmp_path / SEALS)}
    found = list(read_private(tmp_path / PRIVATE))
    assert {(one.channel, one.epoch_start_s, one.revision) for one in found} == seals.keys()
    for one in found:
        line = seals[one.channel, one.epoch_start_s, one.revision]
        dump = zstandard.ZstdDecompressor().decompress((tmp_path / line["leaves"]).read_bytes())
        tag = layout.epoch_tag(one.channel, one.epoch_start_s)
        keys = [layout.epoch_key(layout.viewer_key(who, b"\x11" * 32), tag) for who in one.identities]
        refs = [layout.viewer_ref(who, key) for who, key in zip(one.identities, keys, strict=True)]
        assert refs == [dump[at + 16 : at + 48] for at in range(0, len(dump), layout.LEAF_BYTES)]
        assert len(one.logins) == len(refs)


def test_a_damaged_private_file_is_named(shared_dir: Path, tmp_path: Path) -> None:
    run(shared_dir, shared_dir / VECTORS["kinds_400"][0], tmp_path)
    private = tmp_path / PRIVATE
    private.write_bytes(private.read_bytes() + b"junk")
    with pytest.raises(OutputError, match=r"viewers\.private"):
        list(read_private(private))


def test_the_private_file_is_for_its_owner_only(shared_dir: Path, tmp_path: Path) -> None:
    run(shared_dir, shared_dir / VECTORS["kinds_400"][0], tmp_path)
    (private,) = tmp_path.glob("*.private.*")
    assert private.stat().st_mode & 0o777 == 0o600
