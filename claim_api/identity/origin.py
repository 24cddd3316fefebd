"""Whether a request that changes something comes from our own page: Sec-Fetch-Site and Origin against our address.

Browsers set both and no page can forge them. A client that sends neither is no browser; it has no cookies but its own.
"""

from urllib.parse import urlsplit

from claim_api.errors import ApiError
from claim_api.request import Request


def origin_of(url: str) -> str:
    """scheme://host[:port] of an address, as browsers write it."""
    parts = urlsplit(url)
    port = "" if parts.port in (None, {"https": 443, "http": 80}.get(parts.scheme)) else f":{parts.port}"
    host = (parts.hostname or "").lower()
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def check_origin(request: Request, ours: str) -> None:
    """Raises ApiError 403 `csrf` where the request comes from another page than one of origin `ours`."""
    site, origin = request.header(b"sec-fetch-site"), request.header(b"origin")
    # A form of a page with referrer-policy no-referrer says "Origin: null"; then Sec-Fetch-Site alone must vouch.
    if origin == b"null" and site == b"same-origin":
        return
    if site not in (None, b"same-origin"):
        raise foreign(f"sec-fetch-site {site.decode('latin-1')[:40]!r}")
    if origin not in (None, ours.encode()):
        raise foreign(f"origin {origin.decode('latin-1')[:80]!r}")


def foreign(what: str) -> ApiError:
    """403 `csrf`."""
    return ApiError(403, "csrf", f"the request comes from elsewhere: {what}", "send it from this site's own page")
