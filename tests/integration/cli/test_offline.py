"""replay, verify and proof as a person runs them."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from infra.cli import twzrd as root_command
from streams.replay.output import PRIVATE, read_private
from tests.integration.cli.conftest import Twzrd

KINDS_DIGEST = "acf714ce1a9e07f7d3343dec531bb6dd98a52d0503651a4df3a89fdafe57b826"


def kinds(shared_dir: Path) -> Path:
    return shared_dir / "vectors/seals/kinds_400.irc"


def dead(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "dead.jsonl").read_text().splitlines()]


def every_command(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    below = children(command).items()
    return [path, *(found for name, child in below for found in every_command(child, (*path, name)))]


def children(command: click.Command) -> dict[str, click.Command]:
    if not isinstance(command, click.Group):
        return {}
    context = click.Context(command)
    found = {name: command.get_command(context, name) for name in command.list_commands(context)}
    return {name: child for name, child in found.items() if child is not None}


@pytest.mark.parametrize("path", every_command(root_command), ids=" ".join)
def test_help_on_every_level(path: tuple[str, ...]) -> None:
    command: click.Command = root_command
    for name in path:
        command = children(command)[name]
    with click.Context(command, info_name=" ".join(("twzrd", *path))) as context:
        shown = command.get_help(context)
    assert command.help, f"{path} says nothing of itself"
    assert shown.startswith("Usage: twzrd")


def test_replay_verify_and_proof(twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path) -> None:
    out, raw = tmp_path / "out", kinds(shared_dir)
    done = twzrd("replay", raw, "--out", out, "--pepper-file", pepper_file)
    assert done.last_line == f"digest {KINDS_DIGEST}"
    told = twzrd("replay", raw, "--out", out, "--pepper-file", pepper_file, "--json").json
    assert (told["digest"], told["lines"], told["seals"]) == (KINDS_DIGEST, 408, 7)
    assert twzrd("verify", out).last_line == f"digest {KINDS_DIGEST}"
    assert twzrd("verify", out, "--against", raw, "--no-pepper", "--json").json["compared"] == 7
    assert twzrd("verify", out, "--against", raw, "--pepper-file", pepper_file, "--json").json["good"] is True
    for both in (["--against", raw, raw], ["--against", raw, "--against", raw]):
        assert twzrd("verify", out, *both, "--no-pepper", "--json").json["compared"] == 7
    assert "stand after --against" in twzrd("verify", out, raw, code=2).err
    seal = json.loads((out / "seals.jsonl").read_text().splitlines()[0])
    took_part = next(read_private(out / PRIVATE)).logins[0]
    for viewer, kind in ((took_part, "presence"), ("twitch:id:1", "absence")):
        bundle = twzrd(
            "proof", "--dir", out, "--channel", seal["login"], "--epoch", seal["epoch_start_s"], "--viewer", viewer,
            "--pepper-file", pepper_file,
        ).out  # fmt: skip
        path = tmp_path / "bundle.json"
        path.write_text(bundle)
        assert twzrd("verify", path, "--json").json["kind"] == kind
        path.write_text(bundle.replace(seal["root"][:20], "0" * 20))
        assert "root" in twzrd("verify", path, code=1).err
        path.write_text(bundle)
        twzrd("verify", path, "--seal-hash", seal["seal_hash"])
        assert "not about" in twzrd("verify", path, "--seal-hash", "0" * 64, code=1).err


def test_verify_takes_several_raw_logs_and_no_option_in_vain(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path
) -> None:
    out, lines = tmp_path / "out", kinds(shared_dir).read_bytes().splitlines(keepends=True)
    one, two = tmp_path / "one.irc", tmp_path / "two.irc"
    one.write_bytes(b"".join(lines[:200]))
    two.write_bytes(b"".join(lines[200:]))
    twzrd("replay", one, two, "--out", out, "--pepper-file", pepper_file)
    told = twzrd("verify", out, "--against", one, two, "--no-pepper", "--json").json
    assert (told["compared"], told["good"]) == (7, True)
    assert twzrd("verify", out, "--against", one, "--no-pepper", code=1).out.startswith("BAD")
    twzrd("verify", out, "--pepper-file", pepper_file)
    (tmp_path / "other").write_text("12" * 32)
    assert "not the one these seals commit to" in twzrd("verify", out, "--pepper-file", tmp_path / "other", code=1).err
    for arguments in (
        (out, two),
        (out, "--seal-hash", "0" * 64),
        (out, "--against", one, "--no-pepper", "--pepper-file", pepper_file),
        (out / "seals.jsonl", "--against", one, "--no-pepper"),
    ):
        assert "Usage" in twzrd("verify", *arguments, code=2).err


def test_standard_input(twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path) -> None:
    data = kinds(shared_dir).read_bytes()
    arguments = ("replay", "-", "--out", tmp_path / "out", "--pepper-file", pepper_file)
    assert twzrd(*arguments, stdin=data).last_line == f"digest {KINDS_DIGEST}"
    assert twzrd(*arguments, stdin=gzip.compress(data)).last_line == f"digest {KINDS_DIGEST}"


def test_verify_fails_on_a_changed_leaf(twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    twzrd("replay", kinds(shared_dir), "--out", out, "--pepper-file", pepper_file)
    next((out / "leaves").glob("*/*.zst")).write_bytes(b"junk")
    failed = twzrd("verify", out, code=1)
    assert failed.out.startswith("BAD  twitch:id:")


def test_a_missing_file_is_named_before_anything_is_read(twzrd: Twzrd, shared_dir: Path, tmp_path: Path) -> None:
    failed = twzrd("replay", kinds(shared_dir), tmp_path / "nowhere.irc", "--out", tmp_path / "out", code=1)
    assert "nowhere.irc: no such file" in failed.err
    assert not (tmp_path / "out" / "seals.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--tz", "Mars", "time zone 'Mars' is unknown"), ("--format", "ircc", "ircc"), ("--channel", "a b", "'a b'")],
)
def test_an_option_that_no_file_can_be_read_by_is_an_error_before_anything_is_touched(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path, option: str, value: str, said: str
) -> None:
    out = tmp_path / "out"
    twzrd("replay", kinds(shared_dir), "--out", out, "--pepper-file", pepper_file)
    before = (out / "seals.jsonl").read_bytes()
    for command in (("replay", kinds(shared_dir), "--out", out), ("load", kinds(shared_dir))):
        assert said in twzrd(*command, option, value, code=1).err
    assert (out / "seals.jsonl").read_bytes() == before


def test_a_closed_standard_input_is_named(twzrd: Twzrd, pepper_file: Path, tmp_path: Path) -> None:
    arguments = ["replay", "-", "--out", str(tmp_path / "out"), "--pepper-file", str(pepper_file)]
    command = [sys.executable, "-m", "infra.cli", *arguments]
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *command], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"standard input is closed" in done.stderr


def test_a_truncated_gzip_gives_what_came_before(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path
) -> None:
    whole = gzip.compress(kinds(shared_dir).read_bytes())
    torn = tmp_path / "torn.irc.gz"
    torn.write_bytes(whole[: len(whole) * 2 // 3])
    arguments = ("replay", torn, kinds(shared_dir), "--out", tmp_path / "out", "--pepper-file", pepper_file)
    assert f"broke off: {torn} line " in twzrd(*arguments, code=1).err
    told = twzrd(*arguments, "--json", code=1).json
    assert told["malformed"] >= 1
    assert told["seals"] == 7
    assert told["lines"] > 408
    assert any("torn.irc.gz" in str(letter["where"]) for letter in dead(tmp_path / "out"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"@tmi-sent-ts=1000;user-id=1;room-id=2;id=x :a!a@a.tmi.twitch.tv PRIVMSG #c :hi", "2011"),
        (b"@tmi-sent-ts=4102444800000;user-id=1;room-id=2;id=x :a!a@a.tmi.twitch.tv PRIVMSG #c :hi", "2099"),
        (b"@tmi-sent-ts=1767226834867;user-id=z;room-id=2;id=x :a!a@a.tmi.twitch.tv PRIVMSG #c :hi", "user-id"),
        (b"@tmi-sent-ts=1767226834867;bits=99999999999;user-id=1;room-id=2 :a!a@a PRIVMSG #c :hi", "bits"),
        (bytes(range(128, 256)) * 4, ""),
        (b"x" * 10_000_000, "longer"),
    ],
    ids=["1970", "2100", "wrong tag", "number too large", "binary junk", "10 MB line"],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(
    twzrd: Twzrd, shared_dir: Path, pepper_file: Path, tmp_path: Path, line: bytes, reason: str
) -> None:
    lines = kinds(shared_dir).read_bytes().splitlines(keepends=True)
    log = tmp_path / "bad.irc"
    log.write_bytes(b"".join([*lines[:100], line + b"\n", *lines[100:]]))
    done = twzrd("replay", log, "--out", tmp_path / "out", "--pepper-file", pepper_file)
    assert done.last_line == f"digest {KINDS_DIGEST}"
    (letter,) = dead(tmp_path / "out")
    assert letter["where"] == {"file": str(log), "line": 101}
    assert reason in str(letter["reason"])
    assert "payload" not in letter


def test_a_full_disk_is_one_clear_error(twzrd: Twzrd, shared_dir: Path, pepper_file: Path) -> None:
    failed = twzrd("replay", kinds(shared_dir), "--out", "/dev/full/out", "--pepper-file", pepper_file, code=1)
    assert "/dev/full/out" in failed.err


def test_a_foreign_folder_is_not_written_to(twzrd: Twzrd, shared_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    failed = twzrd("replay", kinds(shared_dir), "--out", tmp_path / "out", code=1)
    assert "thesis.txt" in failed.err


@pytest.mark.parametrize("content", ["12", "zz" * 32, "1a" * 16])
def test_a_bad_pepper_file_is_named(twzrd: Twzrd, shared_dir: Path, tmp_path: Path, content: str) -> None:
    path = tmp_path / "bad"
    path.write_text(content)
    failed = twzrd("replay", kinds(shared_dir), "--out", tmp_path / "out", "--pepper-file", path, code=1)
    assert str(path) in failed.err
    assert "64 hex digits" in failed.err


def test_a_misspelt_setting_is_an_error(twzrd: Twzrd) -> None:
    assert "did you mean TWZRD_LOG_LEVEL" in twzrd("settings", code=1, TWZRD_LOG_LEVLE="debug").err


def test_a_policy_file_is_held_to_its_form(twzrd: Twzrd, shared_dir: Path, tmp_path: Path) -> None:
    path = tmp_path / "policy.json"
    path.write_text((shared_dir / "vectors/seals/policy.json").read_text().replace('"grace_s"', '"graze_s"'))
    failed = twzrd("replay", kinds(shared_dir), "--out", tmp_path / "out", "--policy", path, code=1)
    assert "graze_s" in failed.err or "grace_s" in failed.err
