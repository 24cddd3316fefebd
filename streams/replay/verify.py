"""`twzrd verify DIR`: every root recomputed from the leaf dumps and, with raw logs, every seal folded again.

In: a folder as streams.replay.output describes it (a replay's). Out: findings, the first per seal.
With the pepper a re-fold must give the same header byte for byte; without it the same input_digest, totals and
multiset of counts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zstandard

from schemas.dead import DeadLetter
from schemas.errors import TwzrdError
from schemas.policy import Policy, PolicySchedule, decode_policy
from schemas.seal import LEAF_BYTES, LEAF_DTYPE, SealHeader, coverage_hash, pepper_commit
from schemas.sealed import SealedEpoch
from streams.core.sealing import Sealer
from streams.core.verify import verify_dump
from streams.replay.folding import Folding, FoldOptions
from streams.replay.output import SEALS, digest

_NO_PEPPER = bytes(32)
"""Stands in where an auditor has no pepper: refs come out meaningless, counts and digests do not."""
_COUNTS = ("weight_centi", "messages", "subs", "resubs", "gifts", "bits", "raid_viewers")


class VerifyError(TwzrdError):
    """The folder cannot be checked at all."""


class SealLine(msgspec.Struct, frozen=True):
    """A line of seals.jsonl, as far as it is checked; unknown fields are ignored."""

    channel: str
    epoch_start_s: int
    epoch_length_s: int
    revision: int
    leaf_count: int
    total_weight_centi: str
    total_messages: int
    root: str
    policy_hash: str
    input_digest: str
    coverage: list[tuple[int, int, str]]
    coverage_hash: str
    pepper_commit: str
    seal_hash: str
    leaves: str
    policy: dict[str, Any]
    login: str = ""

    def header(self) -> SealHeader:
        """The header these fields make."""
        return SealHeader(
            self.revision,
            self.epoch_length_s,
            self.epoch_start_s,
            self.channel,
            self.leaf_count,
            int(self.total_weight_centi),
            self.total_messages,
            *(
                bytes.fromhex(part)
                for part in (self.root, self.policy_hash, self.input_digest, self.coverage_hash, self.pepper_commit)
            ),
        )

    def policy_in_force(self) -> Policy:
        """The policy printed beside the seal."""
        return decode_policy(msgspec.json.encode(self.policy), "the seal's policy")


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


def read_seals(folder: Path) -> list[SealLine]:
    """seals.jsonl, strictly. Raises VerifyError naming the line."""
    path = folder / SEALS
    lines = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    lines.append(msgspec.json.decode(line, type=SealLine))
                except (msgspec.DecodeError, UnicodeDecodeError) as error:
                    raise VerifyError(
                        f"{path} line {number}: {error}; the file is damaged or not a replay's"
                    ) from error
    except OSError as error:
        raise VerifyError(f"{path}: {error.strerror}; name a folder that replay wrote") from error
    return lines


def verify_folder(folder: Path, progress: Callable[[int, int], None] | None = None) -> Verification:
    """Check every seal of the folder against its leaf dump, its printed policy, coverage and hash."""
    lines = read_seals(folder)
    findings, hashes = [], []
    for done, line in enumerate(lines, 1):
        try:
            hashes.append(_check_line(folder, line))
        except (TwzrdError, ValueError) as error:
            findings.append(Finding(_place(line), str(error)))
        if progress is not None:
            progress(done, len(lines))
    return Verification(len(lines), digest(hashes), findings)


def _place(line: SealLine) -> str:
    return f"{line.channel} ({line.login}) at {line.epoch_start_s} revision {line.revision}"


def _check_line(folder: Path, line: SealLine) -> bytes:
    header = line.header()
    if header.hash().hex() != line.seal_hash:
        raise VerifyError(f"seal_hash is {line.seal_hash}, the fields beside it hash to {header.hash().hex()}")
    if coverage_hash(line.coverage).hex() != line.coverage_hash:
        raise VerifyError(f"coverage_hash is {line.coverage_hash}, the coverage beside it hashes to another value")
    verify_dump(header, line.policy_in_force(), read_dump(folder, line))
    return header.hash()


def read_dump(folder: Path, line: SealLine) -> bytes:
    """The leaf dump of a seal, unpacked. Raises VerifyError on a missing, damaged, oversized or misplaced one."""
    path = (folder / line.leaves).resolve()
    if not path.is_relative_to((folder / "leaves").resolve()):
        raise VerifyError(f"leaf dump {line.leaves!r} lies outside the folder")
    size = LEAF_BYTES * line.leaf_count
    try:
        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
            data = stream.read(size + 1)
    except (OSError, zstandard.ZstdError) as error:
        raise VerifyError(f"leaf dump {line.leaves}: {error}; fetch it again") from error
    return data


def verify_against(folder: Path, sources: Sequence[str], options: FoldOptions, *, with_pepper: bool) -> Verification:
    """verify_folder, then fold the raw logs again and compare. Coverage is the seal's where the logs state none."""
    result = verify_folder(folder)
    ours = read_seals(folder)
    schedule = _schedule_of(ours) if ours else options.schedule
    if with_pepper and any(line.pepper_commit != pepper_commit(options.pepper).hex() for line in ours):
        raise VerifyError("the pepper is not the one these seals commit to; give the right one, or --no-pepper")
    pepper = options.pepper if with_pepper else _NO_PEPPER
    folding = Folding(FoldOptions(schedule, pepper, options.read, options.jobs, options.budget_bytes), _ignore)
    folding.take(sources)
    wanted = _by_key(ours)
    for sealed in _refolded(folding, wanted):
        key = (sealed.header.channel, sealed.header.epoch_start_s, sealed.header.revision)
        line = wanted.pop(key, None)
        if line is None:
            place = f"{key[0]} at {key[1]} revision {key[2]}"
            result.findings.append(Finding(place, "the raw log gives a seal here, the folder has none"))
            continue
        result.compared += 1
        difference = _difference(folder, line, sealed, with_pepper=with_pepper)
        if difference is not None:
            result.findings.append(Finding(_place(line), difference))
    folding.store.close()
    result.findings += [Finding(_place(line), "the raw log gives no such seal") for line in wanted.values()]
    result.findings += [Finding(name, "could not be read to its end") for name in folding.tally.failed_inputs]
    return result


def _ignore(letter: DeadLetter) -> None:
    """Dead lines were named when the log was first read; here they only must not count."""


def _by_key(lines: list[SealLine]) -> dict[tuple[str, int, int], SealLine]:
    return {(line.channel, line.epoch_start_s, line.revision): line for line in lines}


def _schedule_of(lines: list[SealLine]) -> PolicySchedule:
    """The policies printed beside the seals, each from the first epoch it is seen in."""
    entries: list[tuple[int, Policy]] = []
    for line in sorted(lines, key=lambda line: line.epoch_start_s):
        policy = line.policy_in_force()
        if not entries or entries[-1][1] != policy:
            entries.append((line.epoch_start_s if entries else 0, policy))
    return PolicySchedule(entries)


def _refolded(folding: Folding, wanted: dict[tuple[str, int, int], SealLine]) -> Iterator[SealedEpoch]:
    """The raw log's seals. A log of plain lines states no coverage and knows no lateness: its one fold of an epoch
    stands beside the folder's latest revision, with that one's coverage."""
    latest: dict[tuple[str, int], SealLine] = {}
    for line in wanted.values():
        known = latest.get((line.channel, line.epoch_start_s))
        if known is None or known.revision < line.revision:
            latest[line.channel, line.epoch_start_s] = line
    sealer: Sealer = folding.sealer
    for (channel, start_ms), events in folding.store.drain():
        beside = latest.get((channel, start_ms // 1000))
        revision, coverage = (beside.revision, beside.coverage) if beside else (0, [])
        if beside is not None:
            for earlier in range(revision):
                wanted.pop((channel, start_ms // 1000, earlier), None)
        sealed = sealer.seal(channel, "", start_ms // 1000, revision, events, coverage)
        if sealed is not None:
            yield sealed
    yield from folding.archived_seals()


def _difference(folder: Path, line: SealLine, sealed: SealedEpoch, *, with_pepper: bool) -> str | None:
    """The first thing in which a seal and the raw log's differ, or None."""
    mine, theirs = sealed.header, line.header()
    hidden = {"root", "pepper_commit"}
    for name in SealHeader.__struct_fields__:
        if name in hidden and not with_pepper:
            continue
        got, want = getattr(mine, name), getattr(theirs, name)
        if got != want:
            shown = [value.hex() if isinstance(value, bytes) else value for value in (got, want)]
            return f"{name}: the raw log gives {shown[0]}, the seal has {shown[1]}"
    if not with_pepper:
        leaves = np.frombuffer(read_dump(folder, line), LEAF_DTYPE)
        theirs_counts = sorted(zip(*(leaves[name].tolist() for name in _COUNTS), strict=True))
        ours_counts = sorted(zip(*(getattr(sealed.body.counts, name).tolist() for name in _COUNTS), strict=True))
        if theirs_counts != ours_counts:
            return "counts: the leaves' counts are not those of the raw log's viewers"
    return None
