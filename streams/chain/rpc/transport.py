"""One request to one node over HTTP: bytes out, bytes in, or a Fault. No library error passes, since aiohttp's hold the
address.
"""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from yarl import URL

from streams.chain.rpc.faults import (
    CUT,
    MALFORMED,
    OVERSIZED,
    RATE_LIMITED,
    REFUSED,
    SERVER_ERROR,
    UNREACHABLE,
    Fault,
)

HEADERS: Final = {"content-type": "application/json", "accept-encoding": "identity", "user-agent": "twzrd"}
"""Unpacked answers only: a small packed one may be huge."""
IDLE_S: Final = 15.0
CHUNK: Final = 64 * 1024
SessionFactory = Callable[[], aiohttp.ClientSession]


def open_session() -> aiohttp.ClientSession:
    """What a pool opens when it is given nothing else. It has no bound of time of its own: the pool holds them."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=512, limit_per_host=128, keepalive_timeout=IDLE_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        trust_env=False,
        read_bufsize=CHUNK,
    )


async def post(session: aiohttp.ClientSession, url: URL, payload: bytes, max_bytes: int) -> tuple[int, bytes]:
    """Status and body of an answer that may be read as JSON-RPC: 200, or a 4xx but 429. Raises Fault. A kept connection
    that the node has closed meanwhile is not held against it: the request goes once more, as every method we send
    may."""
    try:
        return await _post(session, url, payload, max_bytes)
    except (aiohttp.ServerDisconnectedError, ConnectionResetError):
        pass
    except Exception as error:  # noqa: BLE001 - each is named, none passes
        raise _fault_of(error) from None
    try:
        return await _post(session, url, payload, max_bytes)
    except Exception as error:  # noqa: BLE001 - the same
        raise _fault_of(error) from None


async def _post(session: aiohttp.ClientSession, url: URL, payload: bytes, max_bytes: int) -> tuple[int, bytes]:
    async with session.post(url, data=payload, headers=HEADERS, allow_redirects=False) as answer:
        status = answer.status
        if status == 429:
            raise Fault(RATE_LIMITED, blames=False, rest_s=retry_after_s(answer.headers.get("retry-after")) or 0.0)
        if status >= 500:
            raise Fault(SERVER_ERROR, rest_s=retry_after_s(answer.headers.get("retry-after")), detail=str(status))
        if status != 200 and not 400 <= status < 500:
            raise Fault(REFUSED, detail=str(status))
        if (answer.content_length or 0) > max_bytes:
            raise Fault(OVERSIZED, blames=False)
        body = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > max_bytes:
                raise Fault(OVERSIZED, blames=False)
        return status, bytes(body)


def _fault_of(error: Exception) -> Exception:
    match error:
        # A time-out is the pool's own and counted there.
        case Fault() | TimeoutError():
            return error
        case aiohttp.ClientConnectorError() | aiohttp.ClientProxyConnectionError():
            return Fault(UNREACHABLE)
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | OSError():
            return Fault(CUT)
        case _:
            return Fault(MALFORMED, detail=type(error).__name__)


def retry_after_s(value: str | None, now_s: Callable[[], float] = time.time) -> float | None:
    """Seconds that Retry-After asks for, given in digits or as a date (RFC 9110 section 10.2.3); None where it is not
    there or does not read."""
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s())
    except (ValueError, OverflowError, TypeError):
        return None
