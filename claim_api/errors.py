"""What the API says when it cannot answer. Every error reaches the client as JSON {code, message, mend}."""

from collections.abc import Sequence
from typing import Final

from schemas.errors import TwzrdError


class ApiConfigError(TwzrdError):
    """The API cannot be composed this way; the message names the setting and the mend."""


class ApiError(TwzrdError):
    """An answer that is an error. status: HTTP; code: a stable word for programs; message, mend: for people."""

    def __init__(
        self, status: int, code: str, message: str, mend: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(f"{message}; {mend}")
        self.status, self.code, self.message, self.mend = status, code, message, mend
        self.headers: Final = tuple(headers)


def malformed(what: str, value: str, mend: str) -> ApiError:
    """400: a value that has not the documented form."""
    shown = value if len(value) <= 80 else value[:80] + "…"
    return ApiError(400, "malformed", f"{what} {shown!r} is not of the documented form", mend)


def unknown_channel(name: str) -> ApiError:
    return ApiError(404, "unknown_channel", f"no seal of channel {name[:80]!r} is known", "list them at /v1/channels")


def unknown_epoch(channel: str, epoch_start_s: int, revision: int | None) -> ApiError:
    named = f"epoch {epoch_start_s}" if revision is None else f"revision {revision} of epoch {epoch_start_s}"
    return ApiError(
        404,
        "unknown_epoch",
        f"channel {channel[:80]!r} has no seal of {named}",
        "list its epochs at /v1/channels/{c}/epochs; an hour that is still open has none yet",
    )


def over_bound(status: int, bound: str, value: int, limit: int) -> ApiError:
    """413, 414 or 431: something of the request is too long."""
    code = {413: "body_too_large", 414: "target_too_long", 431: "headers_too_large"}[status]
    return ApiError(status, code, f"{bound} is {value} bytes, over the bound of {limit}", "send a shorter request")


def busy(bound: str, limit: int, status: int = 503) -> ApiError:
    """503, or 429 for streams: a bound of the process is reached."""
    code = "too_many_streams" if status == 429 else "busy"
    message = f"{limit} {bound} are at work, which is the bound"
    return ApiError(status, code, message, "try again after the seconds in Retry-After", [(b"retry-after", b"2")])


def database_away() -> ApiError:
    return ApiError(
        503,
        "database_away",
        "the database does not answer",
        "try again after the seconds in Retry-After; /health says more",
        [(b"retry-after", b"2")],
    )
