"""Made-up sealed epochs with true roots, and a log that is told them: what tests of projections feed and read."""

from collections.abc import Sequence

import msgspec
import numpy as np

from schemas.columns import EventColumns
from schemas.envelope import CoverageKind, encode
from schemas.policy import DEFAULT_POLICY, Policy
from schemas.seal import EMPTY_HASH, Interval, LeafCounts, SealHeader, coverage_hash, leaf_preimages, pepper_commit
from schemas.sealed import Closed, Late, Record, SealBody, SealedEpoch, Stats, encode_record, split_seal
from streams.core.merkle import merkle_root
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Append
from tests.memory_log import MemoryLog

T0_S = 1_760_000_400
HOUR_S = 3600
CHANNEL = "twitch:id:100"
LOGIN = "forsen"


def seal_of(
    identities: Sequence[str],
    *,
    channel: str = CHANNEL,
    login: str = LOGIN,
    epoch_start_s: int = T0_S,
    revision: int = 0,
    messages: Sequence[int] | None = None,
    logins: Sequence[str] | None = None,
    policy: Policy = DEFAULT_POLICY,
    closed_by: str = "watermark",
    through_offset: int = 10,
    coverage: Sequence[Interval] | None = None,
    salt: int = 0,
) -> SealedEpoch:
    """A consistent seal of these viewers: presence and `messages` bits each; refs are made up, ascending."""
    n = len(identities)
    random = np.random.default_rng([epoch_start_s, revision, salt, n])
    refs = random.integers(0, 256, (n, 32), np.uint8)
    refs = refs[np.lexsort(refs.T[::-1])]
    said = np.array(messages if messages is not None else [1] * n, np.uint32)
    presence = policy.weights_centi.presence
    zeros32, zeros64 = np.zeros(n, np.uint32), np.zeros(n, np.uint64)
    counts = LeafCounts(
        weight_centi=said.astype(np.uint64) * np.uint64(policy.weights_centi.bit) + np.uint64(presence),
        messages=said,
        subs=zeros32,
        resubs=zeros32,
        gifts=zeros32,
        bits=said.astype(np.uint64),
        raid_viewers=zeros64,
    )
    start_ms = epoch_start_s * 1000
    stated = list(coverage) if coverage is not None else [(start_ms, start_ms + HOUR_S * 1000, "live")]
    body = SealBody(
        refs,
        list(identities),
        list(logins) if logins is not None else [f"n{identity.rpartition(':')[2]}" for identity in identities],
        counts,
        np.full(n, start_ms + 1000, np.int64),
        np.full(n, start_ms + 2000, np.int64),
    )
    header = SealHeader(
        revision=revision,
        epoch_length_s=policy.epoch_length_s,
        epoch_start_s=epoch_start_s,
        channel=channel,
        leaf_count=n,
        total_weight_centi=int(counts.weight_centi.sum()),
        total_messages=int(said.sum()),
        root=merkle_root(leaf_preimages(channel, epoch_start_s, refs, counts)),
        policy_hash=policy.hash,
        input_digest=EMPTY_HASH,
        coverage_hash=coverage_hash(stated),
        pepper_commit=pepper_commit(b"\x07" * 32),
    )
    stats = Stats(events=int(said.sum()), duplicates=1, conflicts=0, excluded=2)
    return SealedEpoch(header, login, policy.canonical, stated, stats, 0, through_offset, closed_by, body)


def rehashed(seal: SealedEpoch, counts: LeafCounts) -> SealedEpoch:
    """The seal with other counts and the header that goes with them."""
    body = msgspec.structs.replace(seal.body, counts=counts)
    seal = msgspec.structs.replace(seal, body=body)
    header = msgspec.structs.replace(
        seal.header, total_weight_centi=int(counts.weight_centi.sum()), root=merkle_root(seal.preimages())
    )
    return msgspec.structs.replace(seal, header=header)


def viewers(*ids: int) -> list[str]:
    """Identities of these Twitch ids."""
    return [f"twitch:id:{number}" for number in ids]


def live_envelope(
    said: Sequence[tuple[int, str]],
    *,
    seq: int,
    at_s: int = T0_S,
    channel: str = CHANNEL,
    login: str = LOGIN,
    source: str = "s1",
    observed: tuple[int, int, CoverageKind] | None = (0, 0, "live"),
    kind: int = 0,
    amount: int = 0,
) -> bytes:
    """An envelope with one event for each (Twitch id, login), a ms apart from at_s + 1 s on, observed until the second
    after the last; observed=None as in plain files."""
    pairs = list(dict.fromkeys((f"twitch:id:{number}", name) for number, name in said))
    at = at_s * 1000 + 1000 + np.arange(len(said), dtype=np.int64)
    ids = np.frombuffer(b"".join((seq * 1000 + i).to_bytes(16, "big") for i in range(len(said))), np.uint8)
    events = EventColumns(
        pairs,
        at,
        ids.reshape(-1, 16),
        np.full(len(said), kind, np.uint8),
        np.array([pairs.index((f"twitch:id:{number}", name)) for number, name in said], np.uint32),
        np.full(len(said), amount, np.uint32),
    )
    seen: tuple[int, int, CoverageKind] | None = None if observed is None else (at_s * 1000, at_s * 1000 + 2000, "live")
    return encode("events", channel, login, source, seq, seen, events)


class SaidLog(MemoryLog):
    """A log in memory that is told what collectors and workers say, not bytes."""

    async def chat(self, value: bytes, partition: int = 0) -> None:
        """Append an envelope to chat.events."""
        await self.append(CHAT_EVENTS, [Append(partition, b"k", value)])

    async def say(self, *said: SealedEpoch | Late | Closed, partition: int = 0) -> None:
        """Append these to epoch.sealed as workers do."""
        for one in said:
            records: Sequence[Record] = split_seal(one) if isinstance(one, SealedEpoch) else [one]
            values = [encode_record(record) for record in records]
            await self.append(EPOCH_SEALED, [Append(partition, b"k", value) for value in values])
