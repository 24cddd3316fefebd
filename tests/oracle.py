"""The oracle: docs/spec.md read row by row, slow and plain, to hold the shard against. Shares nothing with core."""

import itertools
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from blake3 import blake3

from schemas.policy import Policy

EXCLUDED_GIFTER = "twitch:id:274598607"
YEAR_2011_MS, YEAR_2100_MS = 1_293_840_000_000, 4_102_444_800_000

Policies = Sequence[tuple[int, Policy]]
"""Each policy with the epoch (s) it is in force from, ascending, the first from 0."""


@dataclass(frozen=True)
class Row:
    """One event as the log holds it."""

    offset: int
    at: int
    id: bytes
    kind: int
    identity: str
    login: str
    amount: int


@dataclass
class ChannelState:
    rows: list[Row] = field(default_factory=list)
    intervals: list[tuple[int, int, str]] = field(default_factory=list)
    frontier: int | None = None
    closed_until: int = 0
    revisions: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class OracleSeal:
    channel: str
    epoch_start_s: int
    revision: int
    header: bytes
    leaves: bytes
    coverage: list[tuple[int, int, str]]


@dataclass
class Told:
    """What a log says, by the oracle."""

    seals: list[OracleSeal] = field(default_factory=list)
    late: dict[tuple[str, int, int], int] = field(default_factory=dict)
    quarantined: int = 0
    dead: list[int] = field(default_factory=list)
    """Offsets of the records that became dead letters whole."""


def tell(log: list[bytes], policies: Policies, pepper: bytes) -> Told:
    """Read a whole partition from offset 0."""
    told = Told()
    states: dict[str, ChannelState] = {}
    for offset, data in enumerate(log):
        record = _well_formed(data)
        if record is None:
            told.dead.append(offset)
        else:
            _record(told, states, offset, record, policies, pepper)
    return told


def in_force(policies: Policies, epoch_s: int) -> Policy:
    """The policy of the epoch that starts then."""
    return [policy for start_s, policy in policies if start_s <= epoch_s][-1]


def _well_formed(data: bytes) -> list[Any] | None:
    """Section 4 of the spec, rule by rule; None where one is broken."""
    try:
        record = msgspec.msgpack.decode(data)
        version, kind, channel, login, source, seq, observed, viewers, at, ids, kinds, who, amounts = record
        assert [type(one) for one in (version, channel, login, source, seq)] == [int, str, str, str, int]
        assert version == 1
        assert kind in ("events", "tick", "end", "reseal")
        assert kind == "events" or not kinds
        if observed is not None:
            start, end, how = observed
            assert (type(start), type(end)) == (int, int)
            assert how in ("live", "recovered", "absent")
            assert YEAR_2011_MS <= start < end < YEAR_2100_MS
            assert end - start <= 31 * 86_400_000
        assert kind != "reseal" or observed is not None
        assert [type(column) for column in (at, ids, kinds, who, amounts)] == [bytes] * 5
        assert [type(one) for one in (viewers, *viewers)] == [list] * (1 + len(viewers))
        assert all([type(part) for part in pair] == [str, str] for pair in viewers)
        n = len(kinds)
        assert (len(at), len(ids), len(who), len(amounts)) == (8 * n, 16 * n, 2 * n, 4 * n)
        assert all(one <= 7 for one in kinds)
        assert all(index < len(viewers) for (index,) in struct.iter_unpack("<H", who))
        assert all(YEAR_2011_MS <= time < YEAR_2100_MS for (time,) in struct.iter_unpack("<q", at))
        for identity, name in [(channel, login), *viewers]:
            assert re.fullmatch(r"twitch:id:[0-9]{1,20}|twitch:login:[^\s:]\S*", identity)
            assert len(identity.encode()) <= 512
            assert "\0" not in identity + name
    except (msgspec.DecodeError, ValueError, TypeError, AssertionError):
        return None
    return record  # type: ignore[no-any-return]


def _record(
    told: Told,
    states: dict[str, ChannelState],
    offset: int,
    record: list[Any],
    policies: Policies,
    pepper: bytes,
) -> None:
    _, kind, channel, _, _, _, observed, viewers, at, ids, kinds, who, amounts = record
    state = states.setdefault(channel, ChannelState())
    length = policies[0][1].epoch_length_s * 1000
    if kind == "reseal":
        whole = observed[0] % length == 0 and observed[1] - observed[0] == length
        if whole and observed[1] <= state.closed_until:
            _seal(told, state, channel, observed[0], policies, pepper)
        else:
            told.dead.append(offset)
        return
    for i in range(len(kinds)):
        identity, login = viewers[struct.unpack_from("<H", who, 2 * i)[0]]
        row = Row(
            offset,
            struct.unpack_from("<q", at, 8 * i)[0],
            ids[16 * i : 16 * i + 16],
            kinds[i],
            identity,
            login,
            struct.unpack_from("<I", amounts, 4 * i)[0],
        )
        if observed and row.at >= observed[1] + 60_000:
            told.quarantined += 1
            continue
        state.rows.append(row)
        epoch = row.at // length * length
        if epoch + length <= state.closed_until:
            key = (channel, epoch // 1000, offset)
            told.late[key] = told.late.get(key, 0) + 1
    if observed:
        state.intervals.append(tuple(observed))
        if state.frontier is None and observed[1] > state.closed_until:
            state.frontier = max(observed[0], state.closed_until)
        moved = True
        while moved:
            moved = False
            for start, end, _ in state.intervals:
                if state.frontier is not None and start <= state.frontier < end:
                    state.frontier, moved = end, True
    touched = {row.at // length * length for row in state.rows}
    for start, end, _ in state.intervals:
        touched |= set(range(start // length * length, end, length))
    for epoch in sorted(touched):
        if epoch + length <= state.closed_until:
            continue
        grace = in_force(policies, epoch // 1000).grace_s * 1000
        reached = state.frontier is not None and state.frontier - grace >= epoch + length
        if kind != "end" and not reached:
            break  # ascending: none closes before an earlier one
        _seal(told, state, channel, epoch, policies, pepper)
        state.closed_until = epoch + length
    if kind == "end":
        state.frontier = None


def _seal(told: Told, state: ChannelState, channel: str, epoch: int, policies: Policies, pepper: bytes) -> None:
    policy = in_force(policies, epoch // 1000)
    length = policy.epoch_length_s * 1000
    rows = [row for row in state.rows if row.at // length * length == epoch]
    coverage = clip(state.intervals, epoch, epoch + length)
    header, leaves = seal_rows(
        rows, coverage, channel, epoch // 1000, state.revisions.get(epoch, -1) + 1, policy, pepper
    )
    if leaves or any(kind != "absent" for _, _, kind in coverage):
        state.revisions[epoch] = state.revisions.get(epoch, -1) + 1
        told.seals.append(OracleSeal(channel, epoch // 1000, state.revisions[epoch], header, leaves, coverage))


def clip(intervals: list[tuple[int, int, str]], start: int, end: int) -> list[tuple[int, int, str]]:
    """Coverage of [start, end): every piece between two edges by its best kind, equal neighbours joined."""
    edges = sorted({start, end} | {e for a, b, _ in intervals for e in (a, b) if start < e < end})
    out: list[tuple[int, int, str]] = []
    for a, b in itertools.pairwise(edges):
        kinds = {kind for x, y, kind in intervals if x <= a and b <= y}
        best = next((kind for kind in ("live", "recovered", "absent") if kind in kinds), None)
        if best and out and out[-1][1] == a and out[-1][2] == best:
            out[-1] = (out[-1][0], b, best)
        elif best:
            out.append((a, b, best))
    return out


def seal_rows(
    rows: list[Row],
    coverage: list[tuple[int, int, str]],
    channel: str,
    epoch_s: int,
    revision: int,
    policy: Policy,
    pepper: bytes,
) -> tuple[bytes, bytes]:
    """(canonical header, leaf dump) of these rows."""
    counted: dict[bytes, Row] = {}
    for row in rows:
        if row.kind > 5 or row.login in policy.excluded_logins or row.identity == EXCLUDED_GIFTER:
            continue
        best = counted.get(row.id)
        if best is None or _rank(row) < _rank(best):
            counted[row.id] = row
    people: dict[str, list[Row]] = {}
    for row in counted.values():
        people.setdefault(row.identity, []).append(row)
    name = struct.pack("<H", len(channel.encode())) + channel.encode()
    tag = blake3(name + struct.pack("<Q", epoch_s)).digest()[:16]
    w = policy.weights_centi
    leaves = []
    for identity, mine in people.items():
        key = blake3(tag, key=blake3(identity.encode(), key=pepper).digest()).digest()
        ref = blake3(b"\x02\x01" + key + identity.encode()).digest()
        messages, subs, resubs, gifts = (sum(row.kind == kind for row in mine) for kind in (0, 1, 2, 3))
        bits = sum(row.amount for row in mine if row.kind == 0)
        raiders = sum(row.amount for row in mine if row.kind == 4)
        weight = w.presence + w.sub * subs + w.resub * resubs + w.gift * gifts + w.bit * bits + w.raid_viewer * raiders
        leaves.append((ref, weight, messages, subs, resubs, gifts, bits, raiders))
    leaves.sort()
    dump = [
        b"\0\x01\0\0" + struct.pack("<IQ", i, epoch_s) + ref + struct.pack("<QIIIIQQ", *counts) + tag[:8]
        for i, (ref, *counts) in enumerate(leaves)
    ]
    coverage_hash = blake3(
        b"".join(struct.pack("<QQB", a, b, ("live", "recovered", "absent").index(kind)) for a, b, kind in coverage)
    ).digest()
    header = (
        b"TWZRDSL1\x01\0"
        + struct.pack("<HIQ", revision, policy.epoch_length_s, epoch_s)
        + name
        + struct.pack("<IQQ", len(leaves), sum(leaf[1] for leaf in leaves), sum(leaf[2] for leaf in leaves))
        + root([blake3(leaf).digest() for leaf in dump])
        + policy.hash
        + blake3(b"".join(sorted(counted))).digest()
        + coverage_hash
        + blake3(b"\x04" + pepper).digest()
    )
    return header, b"".join(dump)


def _rank(row: Row) -> tuple[int, int, bytes, int]:
    return row.at, row.kind, row.identity.encode(), row.amount


def root(hashes: list[bytes]) -> bytes:
    """Merkle root, RFC 6962 section 2.1 word by word: split at the largest power of two below n."""
    if not hashes:
        return blake3(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return blake3(b"\x01" + root(hashes[:split]) + root(hashes[split:])).digest()
