"""The seals of an independent slow program (../shared/vectors/seals) come out exactly, by every way a file is read."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard

from schemas.policy import PolicySchedule, decode_policy
from streams.replay.folding import FoldOptions
from streams.replay.output import SEALS
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


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", VECTORS)
def test_every_field_of_every_seal_is_the_vectors(name: str, shared_dir: Path, tmp_path: Path) -> None:
    source, digest = VECTORS[name]
    done = run(shared_dir, shared_dir / source, tmp_path)
    ours = {(line["channel"], line["epoch_start_s"]): line for line in lines(tmp_path / SEALS)}
    wanted = lines(shared_dir / f"vectors/seals/{name}.seals.jsonl")
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


def test_the_private_file_is_for_its_owner_only(shared_dir: Path, tmp_path: Path) -> None:
    run(shared_dir, shared_dir / VECTORS["kinds_400"][0], tmp_path)
    (private,) = tmp_path.glob("*.private.*")
    assert private.stat().st_mode & 0o777 == 0o600
