"""Law 4, decided in memory: what is to be done with each entry of `epoch.sealed`.

In: entries in order, and what the database knows of their channels. Out: which to apply, which to hold because their
channel is stopped, which came again, and which contradict a known seal. No I/O: projections.sealed loads and writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
from blake3 import blake3

from projections.source import Entry, JoinedSeal
from schemas.policy import decode_policy
from schemas.seal import coverage_hash
from schemas.sealed import Closed, Late, SealedEpoch
from streams.core.merkle import merkle_root
from streams.core.verify import COUNTED, exact_sum, weigh

SealKey = tuple[str, int, int]
"""(channel, epoch_start_s, revision)."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A seal met with another hash than the known one of its key."""

    entry: Entry
    key: SealKey
    known_hash: bytes
    met_hash: bytes


@dataclass(slots=True)
class Judgement:
    """Entries by their fate; `apply` and `hold` are in order. damaged: (entry, what is wrong with it)."""

    apply: list[Entry] = field(default_factory=list)
    hold: list[tuple[str, Entry]] = field(default_factory=list)
    repeated: int = 0
    dismissed: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    damaged: list[tuple[Entry, str]] = field(default_factory=list)


def key_of(sealed: SealedEpoch) -> SealKey:
    return (sealed.header.channel, sealed.header.epoch_start_s, sealed.header.revision)


def fault_of(sealed: SealedEpoch) -> str | None:
    """What is inconsistent in a seal itself, if anything: such a one is never applied, whoever wrote it."""
    header, counts = sealed.header, sealed.body.counts
    if header.leaf_count != len(sealed.body):
        return f"header says {header.leaf_count} leaves, the body has {len(sealed.body)}"
    weight = exact_sum(counts.weight_centi)
    if header.total_weight_centi != weight:
        return f"header says a weight of {header.total_weight_centi}, the leaves sum to {weight}"
    messages = exact_sum(counts.messages)
    if header.total_messages != messages:
        return f"header says {header.total_messages} messages, the leaves sum to {messages}"
    if blake3(sealed.policy).digest() != header.policy_hash:
        return "the policy beside the seal is not the one that its header names"
    if merkle_root(sealed.preimages()) != header.root:
        return "the leaves do not hash to the root that the header bears"
    if len(counts.weight_centi) and int(counts.weight_centi.max()) >= 2**63:
        return "a leaf weighs 2**63 hundredths or more, which the read models cannot hold"
    counted = [getattr(counts, name) for name in COUNTED]
    if not np.array_equal(counts.weight_centi, weigh(counted, _policy(sealed.policy).weights_centi, np.uint64)):
        return "a leaf's weight is not what the policy gives for its counts"
    if coverage_hash(sealed.coverage) != header.coverage_hash:
        return "the coverage beside the seal is not the one that its header names"
    if len(set(sealed.body.identities)) != header.leaf_count:
        return "a viewer has two leaves"
    return None


_policy: Final = lru_cache(maxsize=64)(decode_policy)


def judge(
    entries: Iterable[Entry], known: dict[SealKey, bytes], ruled: set[tuple[SealKey, bytes]], stopped: set[str]
) -> Judgement:
    """known: seal hashes by key; ruled: contradicting seals that an operator dismissed; stopped: channels that wait.
    `known` and `stopped` are brought forward as entries are judged."""
    found = Judgement()
    for entry in entries:
        item = entry.item
        if isinstance(item, Late | Closed):
            if item.channel in stopped:
                found.hold.append((item.channel, entry))
            else:
                found.apply.append(entry)
        elif isinstance(item, JoinedSeal):
            _judge_seal(entry, item.sealed, found, known, ruled, stopped)
    return found


def _judge_seal(
    entry: Entry,
    sealed: SealedEpoch,
    found: Judgement,
    known: dict[SealKey, bytes],
    ruled: set[tuple[SealKey, bytes]],
    stopped: set[str],
) -> None:
    key, met = key_of(sealed), sealed.header.hash()
    before = known.get(key)
    if before == met:
        found.repeated += 1
    elif key[0] in stopped:
        found.hold.append((key[0], entry))
    elif before is not None:
        if (key, met) in ruled:
            found.dismissed += 1
        else:
            found.conflicts.append(Conflict(entry, key, before, met))
            stopped.add(key[0])
    elif (fault := fault_of(sealed)) is not None:
        found.damaged.append((entry, fault))
    else:
        known[key] = met
        found.apply.append(entry)
