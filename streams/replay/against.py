"""`twzrd verify DIR --against FILE...`: the raw logs folded again, and every seal and dead letter compared.

In: a folder that `verify` has looked at, and raw logs. Out: findings. With the pepper a re-fold must give the same
header byte for byte and the same logins; without it the same input_digest, totals and multiset of counts.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from schemas import dead as dead_letters
from schemas.dead import DeadLetter
from schemas.errors import TwzrdError
from schemas.policy import Policy, PolicySchedule
from schemas.seal import LEAF_BYTES, LEAF_DTYPE, SealHeader
from schemas.sealed import SealedEpoch
from streams.replay.folding import Folding, FoldOptions
from streams.replay.output import DEAD, PRIVATE, read_private
from streams.replay.seal_lines import SealLine, VerifyError, read_dump, read_seals
from streams.replay.verify import Finding, Verification, place_of, verify_folder

_NO_PEPPER: Final = bytes(32)
"""Stands in where an auditor has no pepper: refs come out meaningless, counts and digests do not."""
_COUNTS: Final = ("weight_centi", "messages", "subs", "resubs", "gifts", "bits", "raid_viewers")
Place = tuple[str, int, int]
LetterKey = tuple[object, ...]


def verify_against(folder: Path, sources: Sequence[str], options: FoldOptions, *, with_pepper: bool) -> Verification:
    """verify_folder, then fold the raw logs again and compare. Coverage is the seal's where the logs state none.
    Raises VerifyError, SchemaError where the printed policies make no schedule, and what folding raises."""
    result = verify_folder(folder, pepper=options.pepper if with_pepper else None)
    ours = read_seals(folder)
    schedule = _schedule_of(ours) if ours else options.schedule
    pepper = options.pepper if with_pepper else _NO_PEPPER
    dead = Counter[LetterKey]()
    folding = Folding(
        FoldOptions(schedule, pepper, options.read, options.jobs, options.budget_bytes),
        lambda letter: dead.update([_key(letter)]),
    )
    folding.take(sources)
    wanted = {line.place: line for line in ours}
    logins = _logins_of(folder) if with_pepper else {}
    for sealed in _refolded(folding, wanted):
        place = (sealed.header.channel, sealed.header.epoch_start_s, sealed.header.revision)
        line = wanted.pop(place, None)
        if line is None:
            where = f"{place[0]} at {place[1]} revision {place[2]}"
            result.findings.append(Finding(where, "the raw log gives a seal here, the folder has none"))
            continue
        result.compared += 1
        difference = _difference(folder, line, sealed, with_pepper=with_pepper)
        if difference is None and place in logins and logins[place] != hash(tuple(sealed.body.logins)):
            difference = f"{PRIVATE}: its logins are not those of the raw log"
        if difference is not None:
            result.findings.append(Finding(place_of(line), difference))
    folding.store.close()
    result.findings += [Finding(place_of(line), "the raw log gives no such seal") for line in wanted.values()]
    result.findings += _dead_letters(folder, dead)
    result.findings += [Finding(name, "could not be read to its end") for name in folding.tally.failed_inputs]
    return result


def _logins_of(folder: Path) -> dict[Place, int]:
    """A hash of the logins of each record of the private file, where it is there and whole."""
    if not (folder / PRIVATE).exists():
        return {}
    try:
        return {one.place: hash(tuple(one.logins)) for one in read_private(folder / PRIVATE)}
    except TwzrdError:
        return {}  # verify_folder has named it


def _schedule_of(lines: list[SealLine]) -> PolicySchedule:
    """The policies printed beside the seals, each from the first epoch it is seen in."""
    entries: list[tuple[int, Policy]] = []
    for line in sorted(lines, key=lambda line: line.epoch_start_s):
        policy = line.policy_in_force()
        if not entries or entries[-1][1] != policy:
            entries.append((line.epoch_start_s if entries else 0, policy))
    return PolicySchedule(entries)


def _refolded(folding: Folding, wanted: dict[Place, SealLine]) -> Iterator[SealedEpoch]:
    """The raw log's seals. A log of plain lines states no coverage and knows no lateness: its one fold of an epoch
    stands beside the folder's latest revision, with that one's coverage."""
    latest: dict[tuple[str, int], SealLine] = {}
    for line in wanted.values():
        known = latest.get((line.channel, line.epoch_start_s))
        if known is None or known.revision < line.revision:
            latest[line.channel, line.epoch_start_s] = line
    for (channel, start_ms), events in folding.store.drain():
        beside = latest.get((channel, start_ms // 1000))
        revision, coverage = (beside.revision, beside.coverage) if beside else (0, [])
        if beside is not None:
            for earlier in range(revision):
                wanted.pop((channel, start_ms // 1000, earlier), None)
        sealed = folding.sealer.seal(channel, "", start_ms // 1000, revision, events, list(coverage))
        if sealed is not None:
            yield sealed
    yield from folding.archived_seals()


def _difference(folder: Path, line: SealLine, sealed: SealedEpoch, *, with_pepper: bool) -> str | None:
    """The first thing in which a seal and the raw log's differ, or None."""
    try:
        mine, theirs = sealed.header, line.header()
    except VerifyError:
        return None  # found by verify_folder
    hidden = {"root", "pepper_commit"}
    for name in SealHeader.__struct_fields__:
        if name in hidden and not with_pepper:
            continue
        got, want = getattr(mine, name), getattr(theirs, name)
        if got != want:
            shown = [value.hex() if isinstance(value, bytes) else value for value in (got, want)]
            return f"{name}: the raw log gives {shown[0]}, the seal has {shown[1]}"
    if not with_pepper:
        return _counts_differ(folder, line, sealed)
    return None


def _counts_differ(folder: Path, line: SealLine, sealed: SealedEpoch) -> str | None:
    try:
        dump = read_dump(folder, line)
    except VerifyError:
        return None  # found by verify_folder
    if len(dump) != LEAF_BYTES * line.leaf_count:
        return None
    leaves = np.frombuffer(dump, LEAF_DTYPE)
    theirs = sorted(zip(*(leaves[name].tolist() for name in _COUNTS), strict=True))
    ours = sorted(zip(*(getattr(sealed.body.counts, name).tolist() for name in _COUNTS), strict=True))
    return None if theirs == ours else "counts: the leaves' counts are not those of the raw log's viewers"


def _dead_letters(folder: Path, found: Counter[LetterKey]) -> list[Finding]:
    """Where dead.jsonl is there: the first letter of it that the raw logs do not give, and of theirs that it lacks."""
    try:
        said = Counter(_key(dead_letters.decode(line)) for line in (folder / DEAD).read_bytes().splitlines())
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []  # verify_folder has named it
    findings = [
        Finding(DEAD, f"{_shown(key)}: the raw logs give no such dead letter") for key in list(said - found)[:1]
    ]
    return findings + [
        Finding(DEAD, f"{_shown(key)}: the raw logs give this dead letter, the file lacks it")
        for key in list(found - said)[:1]
    ]


def _key(letter: DeadLetter) -> LetterKey:
    """What of a letter does not rest on where its file lay: not the name and, where no bytes were refused, not the
    reason, which may quote it."""
    where = {name: value for name, value in letter.where.items() if name != "file"}
    return letter.what, *sorted(where.items()), letter.reason if letter.length else "", letter.hash, letter.length


def _shown(key: LetterKey) -> str:
    what, *where, reason, _, _ = key
    places = [f"{part[0]} {part[1]}" for part in where if isinstance(part, tuple)]
    return f"{what} at {', '.join(places) or 'no place'} ({reason or 'nothing read'})"
