"""How each kind of setting is read: text of one variable in, a value out, or ValueError with what the value may be.

Used by infra.settings only.
"""

import re
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

SHOWN_CHARACTERS: Final = 300
"""The longest refused value that its error shows."""
_LONGEST_NUMBER: Final = 20
_HERE: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def shown(text: str) -> str:
    """A refused value as an error may show it: what stands before an @ may be a user's password, so it is hidden."""
    if len(text) > SHOWN_CHARACTERS:
        return f"(a value of {len(text):,} characters)"
    return repr(re.sub(r"(\w+://)?[^\s,]*@", r"\1(hidden)@", text))


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER


def _port(text: str) -> bool:
    return _digits(text) and 0 < int(text) < 65_536


def whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (_digits(text) and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("a path")
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise ValueError("a path; whose home ~ stands for is not known here, so give it in full") from None


def database_url(text: str) -> str:
    if text and not (text.startswith(("postgresql://", "postgres://")) and _ports_of_hosts(text)):
        raise ValueError("empty for the embedded server, or postgresql://user:password@host:port/database")
    return text


def _ports_of_hosts(url: str) -> bool:
    """Whether each host of a URL, with commas between, bears a port that can be, or none."""
    try:
        hosts = urlsplit(url).netloc.rpartition("@")[2].split(",")
    except ValueError:
        return False
    return all(not port or _port(port) for port in (host.rpartition("]")[2].partition(":")[2] for host in hosts))


def bootstrap(text: str) -> str:
    for address in text.split(",") if text else []:
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and _port(port)):
            raise ValueError("empty for the development broker, or host:port, more of them with commas")
    return text


def chat_server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and _port(port)):
        raise ValueError("host:port; the port must speak TLS")
    return text


def history_url(text: str) -> str:
    if text and not (text.startswith(("https://", "http://")) and "{channel}" in text):
        raise ValueError("empty, or http(s)://host/path with {channel} where the channel's login goes")
    return text


def topic_prefix(text: str) -> str:
    # Kafka: legal characters of a topic's name, at most 249 in all; ours add up to 20.
    if len(text) > 200 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in text):
        raise ValueError("at most 200 letters, digits, dots, dashes and underscores")
    return text


def _encrypted_or_here(url: str) -> bool:
    """Whether an address has TLS, or does not leave this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _HERE))


def classes(text: str) -> str:
    for piece in text.split(",") if text else []:
        module, colon, name = piece.strip().partition(":")
        if not (colon and all(part.isidentifier() for part in (*module.split("."), name))):
            raise ValueError("empty, or module:Class, more of them with commas")
    return text


def http_url(text: str) -> str:
    if not _encrypted_or_here(text):
        raise ValueError("an address https://…, or http:// on this machine")
    return text.rstrip("/")


def public_url(text: str) -> str:
    return http_url(text) if text else ""


def networks(text: str) -> str:
    try:
        for piece in text.split(","):
            ip_network(piece.strip())
    except ValueError:
        raise ValueError("addresses or networks like 10.0.0.0/8, more of them with commas") from None
    return text


base_units: Final = whole(0, 2**63 - 1)


class Secret:
    """A value that no repr, log line or error shows; `reveal` gives it to the one who needs it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)" if self._value else "Secret()"

    def __str__(self) -> str:
        return "hidden" if self._value else ""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def rpc_urls(text: str) -> Secret:
    # The value is never put into a message: it may hold a provider's key.
    for url in text.split(","):
        if not _encrypted_or_here(url.strip()):
            raise ValueError("addresses https://…, or http:// on this machine, more of them with commas")
    return Secret(text)
