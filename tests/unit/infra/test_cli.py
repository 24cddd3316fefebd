"""The command line imports what the command at hand needs, and no more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.cli import MODULES, twzrd

HEAVY = ["aiokafka", "aiohttp", "asyncio", "asyncpg", "faust", "prometheus_client", "pyarrow", "rich", "uvloop"]


@pytest.mark.parametrize("command", ["replay", "verify", "keys"])
def test_a_command_without_servers_imports_none_of_their_clients(command: str) -> None:
    script = (
        "import sys; from infra.cli import twzrd\n"
        f"try: twzrd(['{command}', '--help'], standalone_mode=True)\n"
        f"except SystemExit: print(*sorted(set({HEAVY!r}) & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage:")
    assert done.stderr.split() == []


def test_every_module_has_the_commands_that_are_said_of_it() -> None:
    context = twzrd.make_context("twzrd", ["settings"])
    for names in MODULES.values():
        for name in names:
            found = twzrd.get_command(context, name)
            assert found is not None and found.name == name
    assert twzrd.get_command(context, "nonesuch") is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--home", "", "keys", "show"], "--home is empty"),
        (["--home", "/etc/hostname", "keys", "init"], "a file is where a folder must be"),
        (["--home", "/proc/here", "keys", "init"], "check the path"),
        (["--home", "~no_such_user_here", "keys", "show"], "in full"),
        (["simulate", "--out", "/proc/here/chat.irc"], "check the path"),
        (["simulate", "--seconds", "600", "--out", "/dev/full"], "make room"),
    ],
)
def test_what_the_system_will_not_do_is_one_line_with_the_mend(arguments: list[str], said: str, tmp_path: Path) -> None:
    home = {} if "--home" in arguments else {"TWZRD_HOME": str(tmp_path)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
    command = [sys.executable, "-m", "infra.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=clean | home, check=False)
    assert done.returncode in (1, 2)
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
