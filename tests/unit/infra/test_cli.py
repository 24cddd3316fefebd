"""The command line imports what the command at hand needs, and no more."""

import subprocess
import sys

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
