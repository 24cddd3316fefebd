"""What operators say on the control stream, and what they ask of it: behind `twzrd channels` and `twzrd optout`.

In: logins and identities as people write them. Out: records of `control`, and rows for the command line. A change is
on the stream when a function returns; running collectors know it within seconds.
"""

import getpass
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg

from infra import compose, databases
from infra.settings import Settings
from projections import read
from schemas import control
from schemas import identity as identities
from schemas.errors import TwzrdError
from streams.collect.live.control import read_sets, say
from streams.collect.live.control_sets import ControlSets
from streams.collect.live.reports import SILENT_S
from streams.log.port import Log

logger: Final = logging.getLogger(__name__)
Row = dict[str, Any]


class ControlCommandError(TwzrdError):
    """What was asked cannot be done as it stands; the message says what can."""


async def add_channels(log: Log, names: Sequence[str], note: str = "") -> list[Row]:
    """The operator wants these channels. Raises SchemaError for what is no login."""
    logins = [control.login(name) for name in names]
    by, at_ms = _operator(), _now_ms()
    wishes = [control.Wanted(control.VERSION, one, None, "operator", by, at_ms, control.text(note)) for one in logins]
    await say(log, *wishes)
    return [{"channel": login, "wanted": True, "said": "added"} for login in logins]


async def remove_channels(log: Log, names: Sequence[str], note: str = "") -> list[Row]:
    """The operator wants these no longer, by whichever of a channel's logins since renames were followed. What the
    discovery wants too is denied to it, else it would go on."""
    logins = [control.login(name) for name in names]
    sets, by, at_ms = await read_sets(log), _operator(), _now_ms()
    said: list[control.Record] = []
    rows: list[Row] = []
    for login in logins:
        wishes = sets.wishes_for(login)
        if not wishes:
            rows.append({"channel": login, "wanted": False, "said": "was not wanted"})
            continue
        same = {login, *wishes, *(sets.renames.bearer(one) for each in wishes.values() for one in each.values())}
        said += [control.Unwanted(control.VERSION, one, "operator", by, at_ms, control.text(note)) for one in wishes]
        discovered = any("discovery" in each for each in wishes.values())
        if discovered:
            said += [control.Ruled(control.VERSION, one, "deny", by, at_ms, control.text(note)) for one in sorted(same)]
        also = f"; {', '.join(sorted(same - {login}))} is the same channel" if len(same) > 1 else ""
        denied = "removed, and denied to the discovery" if discovered else "removed"
        rows.append({"channel": login, "wanted": False, "said": denied + also})
    await say(log, *said)
    return rows


async def rule_channels(log: Log, names: Sequence[str], ruling: control.Ruling, note: str = "") -> list[Row]:
    """Tell the discovery what it may pick; "none" takes a word back."""
    logins = [control.login(name) for name in names]
    by, at_ms = _operator(), _now_ms()
    await say(log, *(control.Ruled(control.VERSION, one, ruling, by, at_ms, control.text(note)) for one in logins))
    said = {"allow": "allowed", "deny": "denied", "none": "no word on it"}[ruling]
    wanted = (await read_sets(log)).wanted()
    return [{"channel": login, "wanted": login in wanted, "said": said} for login in logins]


async def list_channels(log: Log) -> list[Row]:
    """Every channel that is wanted or ruled on, with its newest reported state: that of its new login where the wish
    followed a rename."""
    sets = await read_sets(log, states=True)
    wanted = sets.wanted()
    newest: dict[str, control.ChannelState] = {}
    for state in sets.states.values():
        if state.login not in newest or newest[state.login].at_ms < state.at_ms:
            newest[state.login] = state
    rows: list[Row] = []
    now_ms = _now_ms()
    wished = sets.wishes
    for login in sorted(wished.keys() | sets.rulings.keys()):
        wishes, renamed = wished.get(login, {}), sets.renames.away_from(login)
        at_newest = newest.get(sets.renames.bearer_of(login))
        followed = f"renamed to {renamed.to} on {_utc(renamed.at_ms)}, followed" if renamed else ""
        standing = _standing(sets, at_newest, now_ms)[0] if at_newest else ""
        first = min((wish.at_ms for wish in wishes.values()), default=None)
        rows.append(
            {
                "channel": login,
                "wanted": sets.renames.bearer_of(login) in wanted,
                "by": ", ".join(sorted(wishes)),
                "since": _utc(first),
                "ruling": sets.rulings[login].ruling if login in sets.rulings else "",
                "state": standing,
                "collector": at_newest.collector if at_newest else "",
                "renamed_to": renamed.to if renamed else "",
                "note": "; ".join(filter(None, (followed, *(wish.note for wish in wishes.values())))),
            }
        )
    return rows


async def why(log: Log, name: str) -> Row:
    """Everything known of one channel: who wants it, and at each collector its state, reason and what was tried."""
    login = control.login(name)
    sets = await read_sets(log, states=True)
    ruled, renamed = sets.rulings.get(login), sets.renames.away_from(login)
    now_ms = _now_ms()
    return {
        "channel": login,
        "wanted": login in sets.wanted(),
        "renamed": {"to": renamed.to, "at": _utc(renamed.at_ms), "room_id": renamed.room_id, "by": renamed.by}
        if renamed
        else None,
        "wishes": [
            {"login": named, "origin": origin, "by": wish.by, "at": _utc(wish.at_ms), "note": wish.note}
            for named, wishes in sorted(sets.wishes_for(login).items())
            for origin, wish in sorted(wishes.items())
        ],
        "ruling": {"ruling": ruled.ruling, "by": ruled.by, "at": _utc(ruled.at_ms), "note": ruled.note}
        if ruled
        else None,
        "collectors": [_state_row(sets, one, now_ms) for (of, _), one in sorted(sets.states.items()) if of == login],
    }


def _state_row(sets: ControlSets, state: control.ChannelState, now_ms: int) -> Row:
    standing, why_so, since_ms = _standing(sets, state, now_ms)
    beat = sets.heartbeats.get(state.collector)
    return {
        "collector": state.collector,
        "state": standing,
        "reason": why_so,
        "since": _utc(since_ms),
        "heard_s_ago": None if beat is None else max(0, now_ms - beat[1]) // 1000,
        "last_state": state.state,
        "reported": _utc(state.at_ms),
        "room_id": state.room_id,
        "tried": [{"at": _utc(one.at_ms), "what": one.what, "outcome": one.outcome} for one in state.tried],
    }


def _standing(sets: ControlSets, state: control.ChannelState, now_ms: int) -> tuple[str, str, int | None]:
    """(state, reason, since) of a channel at a collector: its report, where the one who made it still stands by it."""
    if state.collector not in sets.heartbeats:
        return state.state, state.reason, state.since_ms  # of a program that gives no signs of life
    beat, heard_at_ms = sets.heartbeats[state.collector]
    before = f"{state.state} before" + (f", {state.reason}" if state.reason else "")
    if state.state == "left":
        return state.state, state.reason, state.since_ms
    if beat.state == "stopped":
        return "stopped", f"the collector was stopped; {before}", beat.at_ms
    if state.at_ms < beat.since_ms:
        return "stopped", f"of an earlier start of the collector, which runs without this channel now; {before}", None
    if now_ms - heard_at_ms > SILENT_S * 1000:
        silent_s = (now_ms - heard_at_ms) // 1000
        return (
            "silent",
            f"last heard of {silent_s} s ago: it has died, hangs, or does not reach the log; {before}",
            None,
        )
    return state.state, state.reason, state.since_ms


async def opt_out(settings: Settings, log: Log, viewer: str, note: str = "") -> list[Row]:
    """Drop the viewer's events from now on. Of a login the identity that bore it last is recorded too, of an identity
    that identity alone: logins pass on."""
    names, by, at_ms = await _names(settings, viewer), _operator(), _now_ms()
    await say(log, *(control.OptOut(control.VERSION, name, by, at_ms, control.text(note)) for name in names))
    return [{"viewer": name, "opted_out": True} for name in names]


async def opt_in(settings: Settings, log: Log, viewer: str, note: str = "") -> list[Row]:
    """Take the viewer's events again. Raises ControlCommandError where nothing of that name is opted out."""
    sets = await read_sets(log)
    names = [name for name in await _names(settings, viewer) if name in sets.suppressed]
    if not names:
        raise ControlCommandError(f"viewer {viewer!r} is not opted out; `twzrd optout list` shows who is")
    by, at_ms = _operator(), _now_ms()
    await say(log, *(control.OptIn(control.VERSION, name, by, at_ms, control.text(note)) for name in names))
    return [{"viewer": name, "opted_out": False} for name in names]


async def list_opted_out(log: Log) -> list[Row]:
    """Who is opted out, oldest first."""
    sets: ControlSets = await read_sets(log)
    return [
        {"viewer": one.viewer, "since": _utc(one.at_ms), "by": one.by, "note": one.note}
        for one in sorted(sets.suppressed.values(), key=lambda one: (one.at_ms, one.viewer))
    ]


async def _names(settings: Settings, viewer: str) -> list[str]:
    """The identities that a person's word stands for. Raises SchemaError for what is neither login nor identity."""
    if viewer.startswith((identities.ID_PREFIX, identities.LOGIN_PREFIX)):
        return [identities.check(viewer)]
    login = control.login(viewer)
    names = [identities.of_login(login)]
    try:
        with compose.database(settings) as dsn:
            await databases.migrate(dsn)
            async with databases.connected(dsn) as connection:
                spans = await read.identities_of_login(connection, login)
    except (databases.DatabaseError, asyncpg.PostgresError, OSError) as error:
        logger.warning("the read models cannot be asked for the identity behind the login: %s", type(error).__name__)
        return names
    return names + [spans[0].identity for _ in spans[:1] if spans[0].identity not in names]


def _operator() -> str:
    try:
        return control.text(getpass.getuser(), control.MAX_NAME_CHARS)
    except (OSError, KeyError):
        return "operator"  # a user id without a name, as in some containers


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _utc(at_ms: int | None) -> str:
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
