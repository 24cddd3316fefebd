"""The live table of `twzrd collect`: numbers in, a rich renderable out, for any width and height.

Sorted by how much is said; what is not heard stands below and is never pushed out of sight by what is. Narrow terminals
drop the columns that matter least.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from infra.cli.output import harmless
from infra.collecting import Activity, Queue
from streams.collect.live.membership import ChannelState
from streams.collect.live.metrics import Levels

SMOOTHING_S: Final = 10.0
"""Rates are averages over about so long, so that rows do not jump about."""
TROUBLED_SHARE: Final = 3
"""Of the rows, a part of this many is kept for channels that are not heard, where there are so many."""
LOGIN_CHARS: Final = 25
_STYLES: Final = {"joined": "green", "moving": "cyan", "joining": "yellow", "wanted": "yellow", "parked": "red"}
_WAITS: Final = {"wanted": "waits its turn to be joined", "joining": "JOIN sent"}
_HEARD: Final = ("joined", "moving")


@dataclass(frozen=True, slots=True)
class Seen:
    """What is shown, taken at one moment. troubles: why there is no connection; messages: log lines, newest last."""

    server: str
    up_s: float
    now_ms: int
    states: Sequence[ChannelState]
    activity: Mapping[str, Activity]
    levels: Levels
    queue: Queue
    troubles: Sequence[str] = ()
    messages: Sequence[str] = ()


class Rates:
    """Events a second by channel, smoothed."""

    def __init__(self) -> None:
        self._rates: dict[str, float] = {}
        self._events: dict[str, int] = {}
        self._at_s: float | None = None

    def look(self, now_s: float, activity: Mapping[str, Activity]) -> Mapping[str, float]:
        """The rates now; call it once per picture. A login that went over to another channel begins at 0 again."""
        passed_s = 0.0 if self._at_s is None else now_s - self._at_s
        if passed_s > 0:
            share = min(1.0, passed_s / SMOOTHING_S)
            self._rates = {
                login: self._rates.get(login, 0.0) * (1 - share)
                + share * max(0, one.events - self._events.get(login, one.events)) / passed_s
                for login, one in activity.items()
            }
        if passed_s > 0 or self._at_s is None:
            self._at_s = now_s
            self._events = {login: one.events for login, one in activity.items()}
        return self._rates


class _Column(NamedTuple):
    name: str
    width: int
    least_terminal: int
    """How wide the terminal must be for the column to be shown."""


_NUMBERS: Final = (
    _Column("msg/s", 6, 0),
    _Column("last", 6, 44),
    _Column("hour", 4, 52),
    _Column("lost", 5, 60),
    _Column("late", 5, 68),
)
_STATE_CHARS: Final = 7
_GAP: Final = 2


def picture(seen: Seen, rates: Mapping[str, float], width: int, height: int) -> RenderableType:
    """The whole screen: head, channels that are heard, channels that are not and why, and the last log lines."""
    head = [_head(seen, sum(rates.values()), width)]
    head += [_line(trouble, width, "yellow") for trouble in seen.troubles[:2]]
    messages = list(seen.messages)[-min(len(seen.messages), 3, height // 6) :] if height >= 6 else []
    room = max(1, height - len(head) - len(messages) - 2)  # two: the names of the columns, and what is left out
    heard, others, left_out = _rows(seen.states, rates, room)
    columns = [column for column in _NUMBERS if column.least_terminal <= width]
    taken = _GAP + _STATE_CHARS + sum(_GAP + column.width for column in columns)
    login_width = min(LOGIN_CHARS, max(8, width - taken))
    numbers = _table(login_width, header=True)
    for column in columns:
        numbers.add_column(column.name, justify="right", width=column.width, no_wrap=True, header_style="dim")
    for state in heard:
        cells = _cells(seen.activity.get(state.login, Activity()), rates.get(state.login, 0.0), seen.now_ms)
        numbers.add_row(*_name_and_state(state), *(cells[column.name] for column in columns))
    reasons = _table(login_width, header=False)
    reasons.add_column(width=max(1, width - login_width - _STATE_CHARS - 2 * _GAP), no_wrap=True, overflow="ellipsis")
    for state in others:
        reasons.add_row(*_name_and_state(state), Text(harmless(_why(state, seen.now_ms)), "dim"))
    foot = [_line(f"… and {left_out} more", width, "dim")] if left_out else []
    foot += [_line(message, width, "dim") for message in messages]
    return Group(*head, numbers, *([reasons] if others else []), *foot)


def _table(login_width: int, *, header: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), show_header=header)
    table.add_column("channel", width=login_width, no_wrap=True, overflow="ellipsis", header_style="dim")
    table.add_column("state", width=_STATE_CHARS, no_wrap=True, header_style="dim")
    return table


def _name_and_state(state: ChannelState) -> tuple[Text, Text]:
    return Text(harmless(state.login)), Text(state.state, _STYLES.get(state.state, "dim"))


def _head(seen: Seen, rate: float, width: int) -> Text:
    levels = seen.levels
    parts = [
        f"{levels.joined}/{levels.wanted} channels",
        f"{levels.connections} conn",
        f"{_rate(rate)} msg/s",
        f"queue {_count(seen.queue.records)}",
        _age(seen.up_s),
    ]
    if seen.queue.spooled_bytes:
        parts.insert(4, f"spool {_bytes(seen.queue.spooled_bytes)}")
    if levels.parked:
        parts.insert(1, f"{levels.parked} parked")
    text = "  ".join(parts)
    if width >= len(text) + len(seen.server) + 3:
        text = f"{seen.server}  {text}"
    return _line(text, width, "bold")


def _rows(
    states: Sequence[ChannelState], rates: Mapping[str, float], room: int
) -> tuple[list[ChannelState], list[ChannelState], int]:
    """Heard, not heard, as many as fit; and how many do not."""
    heard = [state for state in states if state.state in _HEARD]
    heard.sort(key=lambda state: (-round(rates.get(state.login, 0.0), 1), state.login))
    others = sorted((state for state in states if state.state not in _HEARD), key=_order)
    for_others = min(len(others), max(room // TROUBLED_SHARE, room - len(heard)))
    heard, others = heard[: room - for_others], others[:for_others]
    return heard, others, len(states) - len(heard) - len(others)


def _order(state: ChannelState) -> tuple[bool, bool, str]:
    # Those that wait their turn say least.
    return state.state == "wanted", state.state != "parked", state.login


def _why(state: ChannelState, now_ms: int) -> str:
    if state.retry_at_ms is None:
        return state.reason or _WAITS.get(state.state, "")
    return f"{state.reason}, again in {_age(max(0.0, (state.retry_at_ms - now_ms) / 1000))}"


def _cells(activity: Activity, rate: float, now_ms: int) -> dict[str, Text]:
    last = "-" if activity.last_event_ms is None else _age(max(0.0, (now_ms - activity.last_event_ms) / 1000))
    return {
        "msg/s": Text(_rate(rate)),
        "last": Text(last),
        "hour": Text(_minutes(activity.covered_ms)),
        "lost": Text(_count(activity.lost), "red" if activity.lost else "dim"),
        "late": Text(_count(activity.late), "" if activity.late else "dim"),
    }


def _line(text: str, width: int, style: str) -> Text:
    line = Text(harmless(text), style, no_wrap=True, overflow="ellipsis")
    line.truncate(max(1, width), overflow="ellipsis")
    return line


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate < 1_000 else _count(round(rate))


def _count(number: int) -> str:
    if number < 10_000:
        return str(number)
    return f"{number / 1_000:.0f}k" if number < 10_000_000 else f"{number / 1_000_000:.0f}M"


def _bytes(number: int) -> str:
    return f"{number / 1_048_576:.1f} MiB"


def _minutes(ms: int) -> str:
    return f"{ms // 60_000}m"


def _age(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}"
    return f"{whole // 3_600}h{whole % 3_600 // 60:02d}"
