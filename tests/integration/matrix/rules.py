"""By which rules the matrix seals. The grace is 3 s instead of 120, so that a stall of a few seconds is longer than it.

Goes out: the files that the workers' settings name, and the same as objects for the shard that is fed directly.
"""

from pathlib import Path
from typing import Final

import msgspec

from schemas.policy import DEFAULT_POLICY, PolicySchedule

GRACE_S: Final = 3
POLICY: Final = msgspec.structs.replace(DEFAULT_POLICY, grace_s=GRACE_S)
SCHEDULE: Final = PolicySchedule.of(POLICY)
PEPPER: Final = b"\x11" * 32
PARTITIONS: Final = 8


def write_pepper(folder: Path) -> Path:
    """The pepper as `twzrd` reads it."""
    path = folder / "pepper"
    path.touch(mode=0o600)
    path.write_text(PEPPER.hex() + "\n")
    return path


def write_policy(folder: Path) -> Path:
    """The policy as TWZRD_POLICY_FILE names it."""
    path = folder / "policy.json"
    path.write_bytes(POLICY.canonical)
    return path
