"""What README and docs tell people to type exists: every command, option and make target."""

import re
import shlex
from pathlib import Path

import click
import pytest

from infra import settings
from infra.cli import twzrd

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text() for page in PAGES)
TYPED = {line.split("#")[0].strip() for line in re.findall(r"^    (?:\w+=\S+ )*(twzrd .*)$", TEXT, re.M)}
"""Lines to be typed as they stand; what stands in a sentence may be cut short."""
COMMANDS = sorted(TYPED | set(re.findall(r"`(twzrd [^`]+)`", TEXT)))


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_command_exists_with_its_options(line: str) -> None:
    command: click.Command = twzrd
    words = line.partition(" > ")[0].split()[1:]
    while words and isinstance(command, click.Group):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"{line!r}: {words[0]!r} is no command of twzrd"
        command = found
        words.pop(0)
    known = {option for parameter in command.params for option in parameter.opts}
    for word in words:
        if word.startswith("--"):
            assert word.split("=")[0] in known, f"{line!r}: {word} is no option"
    if line in TYPED and not isinstance(command, click.Group):
        given = shlex.split(" ".join(words))
        _, left, _ = command.make_parser(click.Context(command)).parse_args(given)
        assert not left, f"{line!r}: {left} is too much"


@pytest.mark.parametrize("target", sorted(set(re.findall(r"(?:^    |`)make ([a-z-]+)", TEXT, re.M))))
def test_make_target_exists(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)


@pytest.mark.parametrize("name", sorted(set(re.findall(r"\bTWZRD_[A-Z_]+", TEXT))))
def test_setting_exists(name: str) -> None:
    assert name in {variable for variable, _, _ in settings.variables()} | settings.NOT_SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
