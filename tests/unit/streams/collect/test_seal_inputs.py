"""The reader's events give the digests and counts that an independent program sealed (shared vectors, seals/)."""

import gzip
import json
from collections import defaultdict
from pathlib import Path

import pytest
from blake3 import blake3

from schemas.identity import ANONYMOUS_GIFTER
from streams.collect.derived_ids import DerivedIds
from streams.collect.fast_irc import parse_irc_chunk

FILES = [
    ("data/forsen_2023-06-02.irc", "forsen_2023-06-02", 1 << 20),
    ("data/four_channels_2026-03_2026-04.irc.gz", "four_channels_2026-03_2026-04", 1 << 20),
    ("vectors/seals/kinds_400.irc", "kinds_400", 1 << 20),
    ("vectors/seals/kinds_400.irc", "kinds_400", 4_096),
]

Row = tuple[int, int, str, int]


@pytest.mark.parametrize(("source", "name", "block_bytes"), FILES)
def test_read_events_fold_to_the_published_digests(shared_dir: Path, source: str, name: str, block_bytes: int) -> None:
    raw = (shared_dir / source).read_bytes()
    data = gzip.decompress(raw) if source.endswith(".gz") else raw
    policy = json.loads((shared_dir / "vectors/seals/policy.json").read_text())
    hours: dict[tuple[str, int], dict[bytes, Row]] = defaultdict(dict)
    lines, start, derived = 1, 0, DerivedIds()
    while start < len(data):
        end = len(data) if start + block_bytes >= len(data) else data.rfind(b"\n", start, start + block_bytes) + 1
        chunk = parse_irc_chunk(data[start:end], lines)
        derived.settle(chunk)
        assert chunk.dead == []
        for channel, (_, events) in chunk.channels.items():
            columns = (events.who, events.at, events.kind, events.amount)
            ids = events.ids.tobytes()
            for row, (who, at_ms, kind, amount) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
                identity, login = events.viewers[who]
                if kind > 5 or identity == ANONYMOUS_GIFTER or login in policy["excluded_logins"]:
                    continue
                fold = hours[channel, at_ms // 3_600_000 * 3600]
                event_id = ids[16 * row : 16 * row + 16]
                value = (at_ms, kind, identity, amount)
                fold[event_id] = min(fold.get(event_id, value), value)
        lines += chunk.lines
        start = end
    seals = [json.loads(line) for line in (shared_dir / f"vectors/seals/{name}.seals.jsonl").read_text().splitlines()]
    assert len(seals) == len(hours)
    for seal in seals:
        fold = hours[seal["channel"], seal["epoch_start_s"]]
        assert blake3(b"".join(sorted(fold))).hexdigest() == seal["input_digest"]
        assert sum(kind == 0 for _, kind, _, _ in fold.values()) == seal["total_messages"]
        assert len({identity for _, _, identity, _ in fold.values()}) == seal["leaf_count"]
