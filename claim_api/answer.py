"""Answers: status, headers and body as bytes, with the cache and security headers that every one of them has.

In: what the endpoints found. Out: what app.py sends. Header names are lowercase, as ASGI wants them.
"""

from dataclasses import dataclass
from typing import Final

import orjson

from claim_api.errors import ApiError

Headers = list[tuple[bytes, bytes]]

API_CSP: Final = b"default-src 'none'; frame-ancestors 'none'"
PAGE_CSP: Final = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY: Final[Headers] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
IMMUTABLE: Final = b"public, max-age=31536000, immutable"
"""For what a revision says, named in the request with its channel's identity: it never changes."""
LATEST: Final = b"public, max-age=5"
"""For what the latest revision says: a later one may come."""
MOVING: Final = b"public, max-age=1"
"""For lists that grow."""
PRIVATE: Final = b"no-store"
JSON: Final = b"application/json"


@dataclass(slots=True, frozen=True)
class Answer:
    """One whole answer."""

    status: int
    headers: Headers
    body: bytes


def answer(
    body: bytes, content_type: bytes = JSON, cache: bytes = PRIVATE, *, status: int = 200, csp: bytes = API_CSP
) -> Answer:
    """A body with its headers, without validators."""
    return Answer(status, _headers(body, content_type, cache, csp), body)


def tagged(body: bytes, etag: bytes, cache: bytes, content_type: bytes = JSON, csp: bytes = API_CSP) -> Answer:
    """A body that a strong ETag names; app.py answers 304 where the client has it."""
    headers = _headers(body, content_type, cache, csp)
    headers.append((b"etag", etag))
    return Answer(200, headers, body)


def json_answer(value: object, cache: bytes = PRIVATE, status: int = 200) -> Answer:
    """A value as JSON, without validators."""
    return answer(orjson.dumps(value), cache=cache, status=status)


def error_answer(error: ApiError) -> Answer:
    """JSON {code, message, mend}."""
    body = orjson.dumps({"code": error.code, "message": error.message, "mend": error.mend})
    made = answer(body, status=error.status)
    made.headers.extend(error.headers)
    return made


def not_modified(full: Answer) -> Answer:
    """304 of an answer: its headers but those of a body (RFC 9110 section 15.4.5)."""
    kept = [
        pair for pair in full.headers if pair[0] not in (b"content-length", b"content-type", b"content-disposition")
    ]
    return Answer(304, kept, b"")


def etag_of(full: Answer) -> bytes | None:
    for name, value in reversed(full.headers):
        if name == b"etag":
            return value
    return None


def matches(etag: bytes, if_none_match: bytes) -> bool:
    """Whether If-None-Match names the tag (weak comparison, RFC 9110 section 13.1.2)."""
    if if_none_match.strip() == b"*":
        return True
    return any(one.strip().removeprefix(b"W/") == etag for one in if_none_match.split(b","))


def _headers(body: bytes, content_type: bytes, cache: bytes, csp: bytes) -> Headers:
    return [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", cache),
        (b"content-security-policy", csp),
        *SECURITY,
    ]
