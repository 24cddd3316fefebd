"""`twzrd verify DIR`: every root recomputed from the leaf dumps, and what lies beside them looked at.

In: a folder as streams.replay.output describes it, and the pepper where there is one. Out: findings, the first per
seal. `against` folds the raw logs again as well.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import msgspec

from schemas import dead as dead_letters
from schemas.errors import TwzrdError
from schemas.seal import coverage_hash, epoch_tag, pepper_commit
from streams.core.interning import pair_table
from streams.core.verify import verify_dump
from streams.replay.output import DEAD, LEAVES, PRIVATE, SEALS, Participants, digest, read_private
from streams.replay.seal_lines import SealLine, VerifyError, read_dump, read_seals


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold, and where."""

    where: str
    what: str


@dataclass(slots=True)
class Verification:
    """What a check came to; good when nothing was found and nothing was left out."""

    seals: int
    digest: str
    findings: list[Finding]
    compared: int = 0


def verify_folder(
    folder: Path, progress: Callable[[int, int], None] | None = None, pepper: bytes | None = None
) -> Verification:
    """Check every seal of the folder against its leaf dump, its printed policy, coverage and hash; then that seals and
    dumps belong to each other one by one, and what else of a replay is there: dead.jsonl, the private file (with the
    pepper every ref of it). Raises VerifyError where seals.jsonl cannot be read or the pepper is another."""
    lines = read_seals(folder)
    check_pepper(lines, pepper)
    findings, hashes = [], []
    for done, line in enumerate(lines, 1):
        try:
            hashes.append(_check_line(folder, line))
        except TwzrdError as error:
            findings.append(Finding(place_of(line), str(error)))
        if progress is not None:
            progress(done, len(lines))
    findings += _order(lines) + _dumps_of_nobody(folder, lines) + _dead(folder) + _private(folder, lines, pepper)
    return Verification(len(lines), digest(hashes), findings)


def check_pepper(lines: list[SealLine], pepper: bytes | None) -> None:
    """Raises VerifyError where it is not the one that these seals commit to."""
    if pepper is not None and any(line.pepper_commit != pepper_commit(pepper).hex() for line in lines):
        raise VerifyError("the pepper is not the one these seals commit to; give the right one, or --no-pepper")


def place_of(line: SealLine) -> str:
    """A seal's place, for people."""
    return f"{line.channel} ({line.login}) at {line.epoch_start_s} revision {line.revision}"


def _check_line(folder: Path, line: SealLine) -> bytes:
    header = line.header()
    if header.hash().hex() != line.seal_hash:
        raise VerifyError(f"seal_hash is {line.seal_hash}, the fields beside it hash to {header.hash().hex()}")
    if coverage_hash(line.coverage).hex() != line.coverage_hash:
        raise VerifyError(f"coverage_hash is {line.coverage_hash}, the coverage beside it hashes to another value")
    verify_dump(header, line.policy_in_force(), read_dump(folder, line))
    return header.hash()


def _order(lines: list[SealLine]) -> list[Finding]:
    return [
        Finding(
            place_of(after), "stands twice" if before.place == after.place else f"stands at the wrong place of {SEALS}"
        )
        for before, after in pairwise(lines)
        if before.place >= after.place
    ]


def _dumps_of_nobody(folder: Path, lines: list[SealLine]) -> list[Finding]:
    named = {line.leaves for line in lines}
    there = (path.relative_to(folder).as_posix() for path in (folder / LEAVES).rglob("*") if not path.is_dir())
    return [Finding(name, "no seal names this leaf dump") for name in sorted(there) if name not in named]


def _dead(folder: Path) -> list[Finding]:
    try:
        with (folder / DEAD).open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    dead_letters.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    return [Finding(f"{DEAD} line {number}", f"is no dead letter: {error}")]
    except FileNotFoundError:
        pass  # only what is public was handed over
    except OSError as error:
        return [Finding(DEAD, f"cannot be read: {error.strerror}")]
    return []


def _private(folder: Path, lines: list[SealLine], pepper: bytes | None) -> list[Finding]:
    """The private file, where it is there: a record a seal, a name a leaf and, with the pepper, the names' refs."""
    path = folder / PRIVATE
    if not path.exists():
        return []
    waiting = {line.place: line for line in lines}
    findings: list[Finding] = []
    try:
        for record in read_private(path):
            line = waiting.pop(record.place, None)
            if line is None:
                place = f"{record.channel} at {record.epoch_start_s} revision {record.revision}"
                findings.append(Finding(PRIVATE, f"has a record of {place} that no seal, or no second one, is of"))
            elif (what := _misnamed(folder, line, record, pepper)) is not None:
                findings.append(Finding(place_of(line), f"{PRIVATE}: {what}"))
    except TwzrdError as error:
        return [*findings, Finding(PRIVATE, str(error))]
    return findings + [Finding(place_of(line), f"{PRIVATE} has no record of it") for line in waiting.values()]


def _misnamed(folder: Path, line: SealLine, record: Participants, pepper: bytes | None) -> str | None:
    names = (len(record.identities), len(record.logins))
    if names != (line.leaf_count, line.leaf_count):
        return f"{names[0]} identities and {names[1]} logins of {line.leaf_count} leaves"
    if pepper is None:
        return None
    table = pair_table()
    numbers = table.intern(list(zip(record.identities, record.logins, strict=True)))
    refs = table.pairs().refs(pepper, epoch_tag(line.channel, line.epoch_start_s))[numbers]
    try:
        dump = read_dump(folder, line)
    except VerifyError:
        return None  # found with its seal
    for index, ref in enumerate(refs):
        if ref.tobytes() != dump[96 * index + 16 : 96 * index + 48]:
            return f"leaf {index} is not that of the viewer it names"
    return None
