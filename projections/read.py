"""The reading side of the read models: what the API, the command line and the exports ask of Postgres.

In: a connection or pool whose search path has the tables, and plain values. Out: projections.rows. Every function is
one statement of projections/queries.sql; lists are bounded by `limit`. Database errors come through as asyncpg's own.
"""

from typing import Any, Final, Protocol

import msgspec

from projections import rows
from projections.keys import arithmetic_key
from projections.sql import sql
from schemas.identity import ascii_lower

MAX_LIMIT: Final = 10_000
"""No list is longer than this; ask again from where it ended."""
SEALS_NOTIFY: Final = "twzrd_seals"
"""LISTEN on this: a notice comes with the transaction that applied new seals, its payload the newest seal_id."""
BOARDS_NOTIFY: Final = "twzrd_boards"
"""LISTEN on this: a notice (without payload) comes with each transaction that moved live boards."""
_FAR_S: Final = 2**62
_FAR_ID: Final = 2**31 - 1

_EPOCH_COLUMNS: Final = ", ".join(f"e.{name}" for name in rows.Epoch.__struct_fields__)
_BOARD_COLUMNS: Final = ", ".join(rows.Board.__struct_fields__)
_coverage_decoder = msgspec.json.Decoder(list[tuple[int, int, str]])
_top_decoder = msgspec.json.Decoder(list[rows.BoardViewer])


class Database(Protocol):
    """An asyncpg connection or pool."""

    async def fetch(self, query: str, *args: object) -> list[Any]: ...
    async def fetchrow(self, query: str, *args: object) -> Any: ...
    async def fetchval(self, query: str, *args: object) -> Any: ...


async def channels(db: Database, after: str = "", limit: int = 100) -> list[rows.Channel]:
    """Channels with a seal, by identity ascending, from the one after `after`."""
    return [rows.Channel(**row) for row in await db.fetch(sql("read_channels"), after, _bounded(limit))]


async def channel(db: Database, channel: str) -> rows.Channel | None:
    """One channel by its identity."""
    row = await db.fetchrow(sql("read_channel"), channel)
    return None if row is None else rows.Channel(**row)


async def resolve_channel(db: Database, name: str) -> str | None:
    """The channel's identity from its identity or its login; of several that bore the login, the one sealed last.
    None where no seal of it is known."""
    if name.startswith("twitch:"):
        return None if await channel(db, name) is None else name
    found: str | None = await db.fetchval(sql("read_channel_of_login"), ascii_lower(name))
    return found


async def epochs(db: Database, channel: str, before_s: int | None = None, limit: int = 100) -> list[rows.Epoch]:
    """A channel's epochs that start before `before_s`, newest first, each in its latest revision."""
    start = _FAR_S if before_s is None else before_s
    return [_epoch(row) for row in await db.fetch(_with_columns("read_epochs"), channel, start, _bounded(limit))]


async def epoch(db: Database, channel: str, epoch_start_s: int, revision: int | None = None) -> rows.Epoch | None:
    """One epoch, in the revision named or in its latest."""
    if revision is None:
        row = await db.fetchrow(_with_columns("read_epoch_latest"), channel, epoch_start_s)
    else:
        row = await db.fetchrow(_with_columns("read_epoch_revision"), channel, epoch_start_s, revision)
    return None if row is None else _epoch(row)


async def revisions(db: Database, channel: str, epoch_start_s: int) -> list[rows.Epoch]:
    """All revisions of one epoch, ascending."""
    return [_epoch(row) for row in await db.fetch(_with_columns("read_revisions"), channel, epoch_start_s)]


async def newest_epoch(db: Database) -> rows.Epoch | None:
    """The latest hour sealed in any channel."""
    row = await db.fetchrow(_with_columns("read_newest_epoch"))
    return None if row is None else _epoch(row)


async def seals_after(db: Database, seal_id: int, limit: int = 100) -> list[rows.Epoch]:
    """Seals applied after the one of that id, in order of seal_id: for resumable streams. 0 starts at the first."""
    return [_epoch(row) for row in await db.fetch(_with_columns("read_seals_after"), seal_id, _bounded(limit))]


async def last_seal_id(db: Database) -> int:
    """The newest seal_id; 0 where there is no seal."""
    return int(await db.fetchval(sql("read_last_seal_id")))


async def body(db: Database, channel: str, epoch_start_s: int, revision: int) -> bytes | None:
    """The participants' column block as it was sealed; schemas.body.decode_body opens it. It names identities:
    private. The public leaf dump is made from it with schemas.seal.leaf_preimages."""
    found: bytes | None = await db.fetchval(sql("read_body"), channel, epoch_start_s, revision)
    return found


async def policy(db: Database, policy_hash: bytes) -> bytes | None:
    """Canonical JSON of the policy with that hash."""
    found: str | None = await db.fetchval(sql("read_policy"), policy_hash)
    return None if found is None else found.encode()


async def viewer_key(db: Database, identity: str) -> int | None:
    """The viewer's short key in the read models; None where they were never seen (ids always have one)."""
    key = arithmetic_key(identity)
    if key is None:
        key = await db.fetchval(sql("read_viewer_key"), identity)
    return key


async def viewer_epochs(
    db: Database, identity: str, before_seal_id: int | None = None, limit: int = 1000
) -> list[rows.ViewerEpoch]:
    """Every leaf of one viewer, newest seal first, from below before_seal_id; all revisions."""
    key = await viewer_key(db, identity)
    if key is None:
        return []
    before = _FAR_ID if before_seal_id is None else before_seal_id
    return [_viewer_epoch(row) for row in await db.fetch(sql("read_viewer_epochs"), key, before, _bounded(limit))]


async def viewer_in_epoch(db: Database, identity: str, channel: str, epoch_start_s: int) -> list[rows.ViewerEpoch]:
    """One viewer's leaves in one epoch: one for each revision that has them, latest revision first."""
    key = await viewer_key(db, identity)
    if key is None:
        return []
    return [_viewer_epoch(row) for row in await db.fetch(sql("read_viewer_in_epoch"), key, channel, epoch_start_s)]


async def allocations(db: Database, identity: str) -> list[rows.Allocation]:
    """What one viewer may claim, in the order it was sealed; empty for viewers not known by a Twitch id."""
    key = await viewer_key(db, identity)
    found = [] if key is None else await db.fetch(sql("read_allocations"), key)
    return [rows.Allocation(**{**row, "amount_base_units": int(row["amount_base_units"])}) for row in found]


async def entitlement_base_units(db: Database, identity: str) -> int:
    """Sum of the viewer's allocations over all channels, epochs and revisions."""
    key = await viewer_key(db, identity)
    return 0 if key is None else int(await db.fetchval(sql("read_entitlement"), key))


async def viewer_logins(db: Database, identity: str) -> list[rows.LoginSpan]:
    """The logins that the viewer bore, latest first."""
    key = await viewer_key(db, identity)
    return [] if key is None else [rows.LoginSpan(**row) for row in await db.fetch(sql("read_viewer_logins"), key)]


async def identities_of_login(db: Database, login: str) -> list[rows.LoginSpan]:
    """Who bore this login (they are recycled), latest first."""
    return [rows.LoginSpan(**row) for row in await db.fetch(sql("read_identities_of_login"), login)]


async def late(db: Database, channel: str, epoch_start_s: int) -> list[rows.Late]:
    """Late notices of one epoch, by offset in chat.events."""
    return [rows.Late(**row) for row in await db.fetch(sql("read_late"), channel, epoch_start_s)]


async def closed(db: Database, channel: str, before_s: int | None = None, limit: int = 100) -> list[rows.ClosedHours]:
    """Runs of epochs closed without a seal, newest first."""
    start = _FAR_S if before_s is None else before_s
    found = await db.fetch(sql("read_closed"), channel, start, _bounded(limit))
    return [rows.ClosedHours(**row) for row in found]


async def live_board(db: Database, channel: str) -> list[rows.Board]:
    """The channel's open hour and the ones just before it, newest first."""
    return [_board(row) for row in await db.fetch(_with_columns("read_boards_of_channel"), channel)]


async def live_boards(db: Database, limit: int = 100) -> list[rows.Board]:
    """The newest board of each channel, busiest first."""
    return [_board(row) for row in await db.fetch(_with_columns("read_boards"), _bounded(limit))]


async def alarms(db: Database, before_id: int | None = None, limit: int = 100) -> list[rows.Alarm]:
    """Alarms, newest first."""
    before = _FAR_S if before_id is None else before_id
    return [rows.Alarm(**row) for row in await db.fetch(sql("read_alarms"), before, _bounded(limit))]


async def standing(db: Database) -> rows.Standing:
    """What is to be looked at again and again, in one question."""
    return rows.Standing(**await db.fetchrow(sql("read_standing")))


async def stopped_channels(db: Database) -> list[rows.StoppedChannel]:
    """Channels that wait for an operator's ruling on two roots for one seal."""
    return [rows.StoppedChannel(**row) for row in await db.fetch(sql("read_stopped"))]


async def positions(db: Database) -> list[rows.Position]:
    """How far every projection is."""
    return [rows.Position(**row) for row in await db.fetch(sql("read_positions"))]


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))


def _with_columns(name: str) -> str:
    return sql(name).format(epoch=_EPOCH_COLUMNS, board=_BOARD_COLUMNS)


def _epoch(row: Any) -> rows.Epoch:
    values = dict(row)
    values["total_weight_centi"] = int(values["total_weight_centi"])
    values["total_messages"] = int(values["total_messages"])
    values["coverage"] = _coverage_decoder.decode(values["coverage"])
    return rows.Epoch(**values)


def _viewer_epoch(row: Any) -> rows.ViewerEpoch:
    return rows.ViewerEpoch(**{**row, "increase_base_units": int(row["increase_base_units"])})


def _board(row: Any) -> rows.Board:
    values = dict(row)
    values["weight_centi"] = int(values["weight_centi"])
    values["top"] = _top_decoder.decode(values["top"])
    return rows.Board(**values)
