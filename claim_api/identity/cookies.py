"""Our two cookies: the session's, and the one that ties a sign-in to the browser that began it.

In: a Cookie header, or a value to set. Out: values of exactly one name, or Set-Cookie headers. Over https names have
the prefix __Host- (RFC 6265bis section 4.1.3.2): no other host, nor a page over http, can plant one.
"""

from dataclasses import dataclass
from typing import Final

from claim_api.request import Request

MAX_COOKIES: Final = 64


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of ours. name: with its prefix; it is also the purpose that its value is signed for."""

    name: str
    secure: bool

    def set(self, value: str, max_age_s: int) -> tuple[bytes, bytes]:
        """HttpOnly: no script reads it. Lax: it comes with a navigation from Twitch, never with a foreign POST."""
        secure = "; Secure" if self.secure else ""
        text = f"{self.name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Lax{secure}"
        return b"set-cookie", text.encode("ascii")

    def clear(self) -> tuple[bytes, bytes]:
        """Takes it from the browser."""
        return self.set("", 0)

    def value(self, request: Request) -> str | None:
        """What the browser sent. None where it sent none, or several that differ: one of them was planted."""
        found = set()
        for header in request.every_header(b"cookie"):
            for piece in header.decode("latin-1").split(";", MAX_COOKIES)[:MAX_COOKIES]:
                name, _, value = piece.strip(" \t").partition("=")
                if name == self.name:
                    found.add(value)
        return found.pop() if len(found) == 1 else None


def cookie(name: str, public_url: str) -> Cookie:
    """The cookie of that name as the public address allows it."""
    secure = public_url.startswith("https://")
    return Cookie(f"__Host-{name}" if secure else name, secure)
