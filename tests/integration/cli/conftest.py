"""The real command line in processes of its own, with a home of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Twzrd = Callable[..., "Ran"]


class Ran:
    """One finished command."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out = done.stdout.decode()
        self.err = done.stderr.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def last_line(self) -> str:
        return self.out.rstrip("\n").rsplit("\n", 1)[-1]


@pytest.fixture
def pepper_file(tmp_path: Path) -> Path:
    path = tmp_path / "pepper"
    path.write_text("11" * 32 + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def twzrd(tmp_path: Path) -> Twzrd:
    """Runs `twzrd ARGUMENTS…`; expects exit code `code`."""

    def run(*arguments: object, code: int = 0, stdin: bytes | None = None, **environment: str) -> Ran:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("TWZRD_")}
        done = Ran(
            subprocess.run(
                [sys.executable, "-m", "infra.cli", "--home", str(tmp_path / "home"), *map(str, arguments)],
                input=stdin,
                capture_output=True,
                env={**clean, **environment},
                timeout=120,
                check=False,
            )
        )
        assert done.code == code, f"exit code {done.code}: {done.out}\n{done.err}"
        assert "Traceback" not in done.err
        return done

    return run
