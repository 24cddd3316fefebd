"""What every row gets: where things lie, how many rounds, and a voice."""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from infra.bench.racing import ROOT
from infra.settings import default_cache_dir


@dataclass(frozen=True, slots=True)
class Bench:
    """One run. cache: made inputs, kept between runs; scratch: gone when the run ends."""

    rounds: int
    cache: Path
    scratch: Path
    shared: Path

    @property
    def native(self) -> Path:
        """The folder of compiled hash lanes: private, as `streams.core.native_code` wants it."""
        return self.cache / "code"

    def say(self, text: str) -> None:
        """Progress, to stderr."""
        print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Where made inputs are kept: TWZRD_CACHE/bench or ~/.cache/twzrd/bench."""
    folder = default_cache_dir() / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shared_folder() -> Path:
    """The benchmark material that lies beside the project (TWZRD_SHARED or ../shared)."""
    return Path(os.environ.get("TWZRD_SHARED") or ROOT.parent / "shared")
