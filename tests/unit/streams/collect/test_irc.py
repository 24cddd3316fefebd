"""The IRC grammar against the suite of ircdocs (shared vectors, irc/)."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from streams.collect.irc import Malformed, Message, format_line, parse_line, split_userhost


def cases(shared_dir: Path, name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = yaml.safe_load((shared_dir / "vectors/irc" / name).read_text())["tests"]
    assert tests
    return tests


def message_of(atoms: dict[str, Any]) -> Message:
    source = atoms.get("source")
    return Message(
        atoms["verb"].encode(),
        [param.encode() for param in atoms.get("params", [])],
        None if source is None else source.encode(),
        {key.encode(): value.encode() for key, value in atoms.get("tags", {}).items()},
    )


def test_every_line_of_msg_split_is_read_as_stated(shared_dir: Path) -> None:
    tests = cases(shared_dir, "msg-split.yaml")
    for case in tests:
        assert parse_line(case["input"].encode()) == message_of(case["atoms"]), case["input"]
    assert len(tests) == 35


def test_every_message_of_msg_join_is_written_as_one_of_the_stated_lines(shared_dir: Path) -> None:
    for case in cases(shared_dir, "msg-join.yaml"):
        assert format_line(message_of(case["atoms"])).decode() in case["matches"], case["desc"]


def test_every_source_of_userhost_split_is_cut_as_stated(shared_dir: Path) -> None:
    for case in cases(shared_dir, "userhost-split.yaml"):
        userhost = split_userhost(case["source"].encode())
        parts = {"nick": userhost.nick, "user": userhost.user, "host": userhost.host}
        assert {name: part.decode() for name, part in parts.items() if part} == case["atoms"]


@pytest.mark.parametrize("line", [b"", b"@a=b", b"@a=b ", b":source", b":source ", b"@a :b", b" PING"])
def test_a_line_without_a_command_is_malformed(line: bytes) -> None:
    with pytest.raises(Malformed, match="no command"):
        parse_line(line)


@pytest.mark.parametrize("params", [[b"", b"x"], [b"a b", b"x"], [b":a", b"x"]])
def test_only_the_last_parameter_may_be_odd(params: list[bytes]) -> None:
    with pytest.raises(Malformed, match="last parameter"):
        format_line(Message(b"FOO", params))
