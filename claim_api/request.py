"""One request taken apart and held to its bounds, before any endpoint sees it.

In: an ASGI scope, and the body where one may come. Out: a Request, or an ApiError of 400, 405, 408, 413, 414, 415, 431.
"""

import asyncio
import hmac
from collections.abc import Collection, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import unquote_plus

import msgspec

from claim_api.config import Bounds
from claim_api.errors import ApiError, malformed, over_bound

METHODS: Final = ("GET", "HEAD", "POST", "OPTIONS")
BODY_METHOD: Final = "POST"
MAX_EPOCH_S: Final = 2**63 - 1
MAX_QUERY_FIELDS: Final = 16


T = TypeVar("T")


class Request:
    """method, path segments and query of one request; headers by their lowercase name. peer: the client's address as
    the socket says it."""

    __slots__ = ("_bounds", "_headers", "_query", "_receive", "head", "method", "path", "peer")

    def __init__(self, scope: Any, bounds: Bounds, receive: Any = None) -> None:
        self._bounds, self._receive = bounds, receive
        self.path: str = scope["path"]
        client = scope.get("client")
        self.peer: str = client[0] if client else ""
        self._query: bytes = scope["query_string"]
        self._headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
        method: str = scope["method"]
        if method not in METHODS:
            raise ApiError(
                405,
                "method_not_allowed",
                f"method {method[:20]!r} is not known here",
                f"use one of {', '.join(METHODS)}",
                [(b"allow", ", ".join(METHODS).encode())],
            )
        self.head = method == "HEAD"
        self.method = "GET" if self.head else method
        raw = len(scope.get("raw_path") or self.path)
        if raw > bounds.path_bytes:
            raise over_bound(414, "path_bytes", raw, bounds.path_bytes)
        if len(self._query) > bounds.query_bytes:
            raise over_bound(414, "query_bytes", len(self._query), bounds.query_bytes)
        self._check_headers(bounds)
        if "\ufffd" in self.path or "\0" in self.path:
            raise malformed("path", self.path, "percent-encode it as UTF-8")

    def _check_headers(self, bounds: Bounds) -> None:
        total = 0
        for name, value in self._headers:
            total += len(name) + len(value)
            if name == b"content-length" and value != b"0":
                size = int(value) if value.isdigit() and len(value) < 19 else 0
                limit = bounds.body_bytes if self.method == BODY_METHOD else 0
                if size > limit:
                    raise over_bound(413, "body_bytes", size, limit)
            if name == b"transfer-encoding" and self.method != BODY_METHOD:
                raise ApiError(413, "body_too_large", "the request has a body", "send none; only a POST takes one")
        if total > bounds.header_bytes:
            raise over_bound(431, "header_bytes", total, bounds.header_bytes)

    def header(self, name: bytes) -> bytes | None:
        """The first header of that lowercase name."""
        for found, value in self._headers:
            if found == name:
                return value
        return None

    def every_header(self, name: bytes) -> list[bytes]:
        """The headers of that lowercase name, in their order."""
        return [value for found, value in self._headers if found == name]

    async def body(self) -> bytes:
        """The whole body. Raises ApiError 413 over the bound, 408 where it does not come in time, 400 where the client
        left in the middle."""
        pieces, size = [], 0
        try:
            async with asyncio.timeout(self._bounds.body_s):
                while True:
                    message = await self._receive()
                    if message["type"] != "http.request":
                        raise ApiError(400, "cut_short", "the body ended before its end", "send the whole of it")
                    pieces.append(message.get("body", b""))
                    size += len(pieces[-1])
                    if size > self._bounds.body_bytes:
                        raise over_bound(413, "body_bytes", size, self._bounds.body_bytes)
                    if not message.get("more_body", False):
                        return b"".join(pieces)
        except TimeoutError:
            raise ApiError(
                408, "body_too_slow", f"the body did not come within {self._bounds.body_s:.0f} s", "send it at once"
            ) from None

    @property
    def query_string(self) -> bytes:
        """The query as it came, for those who must take fields of others."""
        return self._query

    async def json(self, form: type[T]) -> T:
        """The body decoded strictly into a msgspec form. Raises ApiError 415 for another content type (a form that a
        foreign page may send without asking is never JSON), 400 naming the field that is off."""
        kind = (self.header(b"content-type") or b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            raise ApiError(
                415, "not_json", f"content-type {kind.decode('latin-1')[:80]!r} is not taken", "send application/json"
            )
        try:
            return msgspec.json.decode(await self.body(), type=form)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(400, "malformed", f"the body is not of the documented form: {error}", "see /docs") from error

    def query(self, known: Collection[str]) -> dict[str, str]:
        """The query's fields. Raises ApiError for one that is unknown, comes twice, is no UTF-8 or has a zero byte."""
        fields: dict[str, str] = {}
        if not self._query:
            return fields
        pieces = self._query.split(b"&", MAX_QUERY_FIELDS)
        if len(pieces) > MAX_QUERY_FIELDS:
            raise malformed("query", pieces[0].decode("ascii", "replace"), f"give at most {MAX_QUERY_FIELDS} fields")
        for piece in pieces:
            raw_name, equals, raw_value = piece.partition(b"=")
            name, value = _decoded(raw_name), _decoded(raw_value)
            if not equals:
                raise malformed("query", name, "write it as name=value&name=value")
            if name not in known:
                raise malformed("query field", name, f"known here: {', '.join(sorted(known)) or 'none'}")
            if name in fields:
                raise malformed("query field", name, "give it once")
            fields[name] = value
        return fields

    def check_operator(self, operator_key: str | None) -> None:
        """Returns where the operator's key came with the request; else raises 401, 403, or 501 where there is none."""
        if operator_key is None:
            raise ApiError(
                501,
                "no_operator_key",
                "this server has no operator key, so private answers are off",
                "make one with `twzrd keys init` and start the server again",
            )
        given = self.header(b"authorization")
        if given is None or given[:7].lower() != b"bearer ":
            raise ApiError(
                401,
                "unauthorized",
                "this answer is private",
                "send the header Authorization: Bearer <operator key>",
                [(b"www-authenticate", b'Bearer realm="twzrd operator"')],
            )
        if not hmac.compare_digest(given[7:].strip(), operator_key.encode()):
            raise ApiError(403, "forbidden", "this is not the operator's key", "see `twzrd keys show` on the server")


def _decoded(raw: bytes) -> str:
    """Percent-encoded UTF-8; Python's own decoder only where there is something to decode."""
    try:
        text = raw.decode("ascii")
        text = text if "%" not in text and "+" not in text else unquote_plus(text, errors="strict")
    except UnicodeDecodeError as error:
        raise malformed("query", raw.decode("ascii", "replace"), "percent-encode it as UTF-8") from error
    if "\0" in text:  # which no text in Postgres holds: it would look as if the database were away
        raise malformed("query", text, "leave the zero byte out")
    return text


def whole(what: str, text: str, low: int, high: int) -> int:
    """A whole number in ASCII digits within [low, high]; else ApiError 400."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high:
        return int(text)
    raise malformed(what, text, f"give a whole number from {low} to {high}")


def page_rows(fields: dict[str, str], bounds: Bounds) -> int:
    """How many rows the query asks for."""
    if "limit" not in fields:
        return bounds.page_default_rows
    return whole("limit", fields["limit"], 1, bounds.page_rows)


def hex32(what: str, text: str) -> bytes:
    """32 bytes of 64 lowercase hex digits; else ApiError 400."""
    if len(text) == 64:
        try:
            value = bytes.fromhex(text)
        except ValueError:
            value = b""
        # fromhex lets capitals and white space pass
        if value.hex() == text:
            return value
    raise malformed(what, text, "give 64 lowercase hex digits")
