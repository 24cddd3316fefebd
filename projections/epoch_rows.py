"""One seal as values of sealed_epochs and channels. Pure; in the order of the statements in queries.sql."""

from collections.abc import Iterable, Sequence

import orjson

from projections.source import Entry, JoinedSeal
from schemas.seal import Interval


def covered_ms(coverage: Iterable[Interval]) -> tuple[int, int]:
    """(observed_ms, absent_ms) of a coverage whose intervals do not overlap; live and recovered are observed."""
    observed = absent = 0
    for from_ms, to_ms, kind in coverage:
        if kind == "absent":
            absent += to_ms - from_ms
        else:
            observed += to_ms - from_ms
    return observed, absent


def epoch_row(entry: Entry, joined: JoinedSeal, seal_id: int) -> tuple[object, ...]:
    """Arguments of insert_epoch."""
    sealed, header = joined.sealed, joined.sealed.header
    observed_ms, absent_ms = covered_ms(sealed.coverage)
    return (
        header.channel,
        header.epoch_start_s,
        header.revision,
        seal_id,
        sealed.login,
        header.epoch_length_s,
        header.leaf_count,
        header.total_weight_centi,
        header.total_messages,
        header.hash(),
        header.root,
        header.policy_hash,
        header.encode(),
        orjson.dumps(sealed.coverage).decode(),
        observed_ms,
        absent_ms,
        sealed.stats.events,
        sealed.stats.duplicates,
        sealed.stats.conflicts,
        sealed.stats.excluded,
        entry.partition,
        sealed.from_offset,
        sealed.through_offset,
        sealed.closed_by,
        entry.offset,
        joined.blob,
    )


def channel_rows(seals: Sequence[tuple[Entry, JoinedSeal]]) -> list[tuple[str, str, int, int, int]]:
    """(channel, login, first_epoch_s, last_epoch_s, seals) of these seals; the login is that of the newest epoch, of
    equal ones that of the last in order. Merging these rows batch by batch gives the same as merging them at once."""
    rows: dict[str, tuple[str, str, int, int, int]] = {}
    for _, joined in seals:
        channel, start_s, login = joined.sealed.header.channel, joined.sealed.header.epoch_start_s, joined.sealed.login
        before = rows.get(channel)
        if before is None:
            rows[channel] = (channel, login, start_s, start_s, 1)
        else:
            _, old_login, first_s, last_s, count = before
            newest = login if start_s >= last_s else old_login
            rows[channel] = (channel, newest, min(first_s, start_s), max(last_s, start_s), count + 1)
    return list(rows.values())
