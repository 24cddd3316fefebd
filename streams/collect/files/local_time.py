"""Local time stamps of logs -> ms UTC. Used by the stamped and tab-separated formats."""

from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.collect.files.errors import SourceError
from streams.collect.irc import Malformed
from streams.collect.twitch import check_time


def zone(name: str) -> tzinfo:
    """The time zone of that IANA name ("UTC", "Europe/Berlin"). Raises SourceError for an unknown one."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise SourceError(f"time zone {name!r} is unknown; give an IANA name such as 'Europe/Berlin'") from error


def at_ms(minute: bytes, second: bytes, millisecond: bytes, tz: str) -> int:
    """ms UTC of `YYYY?MM?DD?HH?MM`, `SS`, `mmm` (digits) in zone tz. Raises Malformed for an impossible time.

    Where clocks are put back the earlier of the two moments is taken (PEP 495, fold 0).
    """
    if second > b"59":
        raise Malformed("time stamp is impossible")
    return check_time(_minute_ms(minute, tz) + int(second) * 1000 + int(millisecond))


@lru_cache(maxsize=4_096)
def _minute_ms(minute: bytes, tz: str) -> int:
    parts = (int(minute[0:4]), int(minute[5:7]), int(minute[8:10]), int(minute[11:13]), int(minute[14:16]))
    try:
        return int(datetime(*parts, tzinfo=zone(tz)).timestamp()) * 1000
    except (ValueError, OverflowError) as error:
        raise Malformed("time stamp is impossible") from error
