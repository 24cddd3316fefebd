"""Every setting of every process: the one place that reads the environment.

In: `--home DIR` and the variables TWZRD_*. Out: one frozen object that the composition hands on, piece by piece. A name
that is not listed here is an error, so that a misspelt variable never means a silent default.
"""

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from schemas.errors import TwzrdError

PREFIX = "TWZRD_"
# Read elsewhere on purpose: by the tests' fixtures and the benchmark, never by a process of the system.
NOT_SETTINGS = frozenset({"TWZRD_REQUIRE_INSPIRCD", "TWZRD_REQUIRE_KAFKA", "TWZRD_SHARED", "TWZRD_SEED"})


class SettingsError(TwzrdError):
    """A setting that cannot be: the message names the variable, its value and what it may be."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one variable is read: `parse` raises ValueError with what the value may be."""

    meaning: str
    parse: Callable[[str], Any]


def _setting(default: Any, meaning: str, parse: Callable[[str], Any]) -> Any:
    return field(default=default, metadata={"rule": _Rule(meaning, parse)})


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text) <= high):
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return parse


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("a path")
    return Path(text).expanduser().absolute()


def _database_url(text: str) -> str:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError("empty for the embedded server, or postgresql://user:password@host:port/database")
    return text


def _bootstrap(text: str) -> str:
    for address in text.split(",") if text else []:
        host, colon, port = address.strip().rpartition(":")
        if not (host and colon and port.isdigit() and 0 < int(port) < 65_536):
            raise ValueError("empty for the development broker, or host:port, more of them with commas")
    return text


def _chat_server(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not (host and colon and port.isdigit() and 0 < int(port) < 65_536):
        raise ValueError("host:port; the port must speak TLS")
    return text


def _history_url(text: str) -> str:
    if text and not (text.startswith(("https://", "http://")) and "{channel}" in text):
        raise ValueError("empty, or http(s)://host/path with {channel} where the channel's login goes")
    return text


def _topic_prefix(text: str) -> str:
    # Kafka: legal characters of a topic's name, at most 249 in all; ours add up to 20.
    if len(text) > 200 or not all(c.isascii() and (c.isalnum() or c in "._-") for c in text):
        raise ValueError("at most 200 letters, digits, dots, dashes and underscores")
    return text


def _http_url(text: str) -> str:
    if not text.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise ValueError("an address https://…, or http:// on this machine")
    return text.rstrip("/")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process may know about where it runs. Paths are absolute; empty strings mean "our own embedded one"."""

    home: Path = _setting(Path("~/.twzrd"), "everything that twzrd keeps: data, keys, archive", _path)
    log: Literal["postgres", "kafka"] = _setting("postgres", "where the log is", _one_of("postgres", "kafka"))
    engine: Literal["faust", "direct"] = _setting(
        "faust", "the worker, when the log is Kafka", _one_of("faust", "direct")
    )
    database_url: str = _setting("", "an own Postgres; empty starts the embedded one under home", _database_url)
    kafka_bootstrap: str = _setting("", "an own Kafka; empty means the development broker", _bootstrap)
    partitions: int = _setting(8, "partitions of chat.events and epoch.sealed, fixed once made", _whole(1, 1024))
    topic_prefix: str = _setting("", "put before the names of the streams", _topic_prefix)
    policy_file: Path | None = _setting(None, "the policy in force; none means the built-in one", _path)
    pepper_file: Path | None = _setting(None, "32 bytes as hex; default home/keys/pepper", _path)
    operator_key_file: Path | None = _setting(None, "the API's operator key; default home/keys/operator", _path)
    archive_dir: Path | None = _setting(None, "the long-term record; default home/archive", _path)
    cache: Path | None = _setting(None, "downloads (the development broker); default ~/.cache/twzrd", _path)
    api_host: str = _setting("127.0.0.1", "address the API listens on", str)
    api_port: int = _setting(8480, "port of the API; 0 takes a free one", _whole(0, 65_535))
    chat_server: str = _setting("irc.chat.twitch.tv:6697", "chat server of the collector, with TLS", _chat_server)
    chat_ca_file: Path | None = _setting(None, "PEM of the only authority to trust for it; none: the system's", _path)
    batch_envelopes: int = _setting(200, "most envelopes in one transaction or poll", _whole(1, 10_000))
    batch_wait_ms: int = _setting(50, "longest wait for a batch to fill", _whole(0, 60_000))
    batch_bytes: int = _setting(4 * 1024 * 1024, "most bytes in one batch", _whole(65_536, 64 * 1024 * 1024))
    twitch_client_id: str = _setting("", "Helix: the application's client id", str)
    twitch_client_secret: Secret = _setting(Secret(""), "Helix: its secret; better in the credentials file", Secret)
    twitch_credentials_file: Path | None = _setting(
        None, "two lines client_id=… and client_secret=…, mode 0600; default home/keys/twitch", _path
    )
    twitch_id_url: str = _setting("https://id.twitch.tv/oauth2", "where app tokens come from", _http_url)
    twitch_api_url: str = _setting("https://api.twitch.tv/helix", "where Helix answers", _http_url)
    discover_viewers: int = _setting(25, "discovery: least viewers of a channel", _whole(0, 10_000_000))
    discover_live_min: int = _setting(10, "discovery: minutes a channel must have been live", _whole(0, 1440))
    discover_channels: int = _setting(60, "discovery: most channels at a time", _whole(1, 5_000))
    close_after_min: int = _setting(
        10, "minutes without a collector's record until a channel counts as left", _whole(2, 1440)
    )
    keep_text: Literal["off", "on"] = _setting(
        "off", "whether message text is kept, for `twzrd raw`", _one_of("off", "on")
    )
    raw_dir: Path | None = _setting(None, "day files of `twzrd raw`; default home/raw", _path)
    raw_days: int = _setting(30, "days that raw events and texts are kept", _whole(1, 3650))
    collector_name: str = _setting("", "what this collector is called in reports; empty: the host's name", str)
    spool_mb: int = _setting(1024, "most MiB that wait on disk while the log is away", _whole(1, 1_000_000))
    history_url: str = _setting("", "a recent-messages service to fill gaps from; empty: none", _history_url)
    history_per_minute: int = _setting(60, "most requests to that service in a minute", _whole(1, 6_000))
    log_level: str = _setting("info", "least level that is logged", _one_of("debug", "info", "warning", "error"))
    log_format: str = _setting("auto", "auto: text on a terminal, else JSON lines", _one_of("auto", "json", "text"))

    @property
    def pepper_path(self) -> Path:
        return self.pepper_file or self.home / "keys" / "pepper"

    @property
    def operator_key_path(self) -> Path:
        return self.operator_key_file or self.home / "keys" / "operator"

    @property
    def archive_path(self) -> Path:
        return self.archive_dir or self.home / "archive"

    @property
    def twitch_credentials_path(self) -> Path:
        return self.twitch_credentials_file or self.home / "keys" / "twitch"

    @property
    def raw_path(self) -> Path:
        return self.raw_dir or self.home / "raw"

    @property
    def cache_path(self) -> Path:
        return self.cache or Path("~/.cache/twzrd").expanduser()

    @property
    def collect_dir(self) -> Path:
        return self.home / "collect"

    @property
    def postgres_dir(self) -> Path:
        return self.home / "postgres"

    @property
    def kafka_dir(self) -> Path:
        return self.home / "kafka"


def load(home: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Settings from the environment; `home` (from --home) goes before TWZRD_HOME.

    An empty variable counts as not set. Raises SettingsError for an unknown name or a value that is not allowed.
    """
    given = {k: v for k, v in (os.environ if environ is None else environ).items() if k.startswith(PREFIX)}
    rules = {PREFIX + f.name.upper(): (f.name, f.metadata["rule"]) for f in fields(Settings)}
    unknown = sorted(given.keys() - rules.keys() - NOT_SETTINGS)
    if unknown:
        raise SettingsError(_unknown_message(unknown[0], list(rules)))
    values: dict[str, Any] = {}
    for variable, (name, rule) in rules.items():
        text = given.get(variable, "")
        if text == "":
            continue
        try:
            values[name] = rule.parse(text)
        except ValueError as error:
            raise SettingsError(f"{variable}={text!r} is not allowed; it may be {error}") from None
    values["home"] = _path(str(home or values.get("home") or Settings.__dataclass_fields__["home"].default))
    return Settings(**values)


def default_cache_dir() -> Path:
    """TWZRD_CACHE or ~/.cache/twzrd, for parts that are used without the rest of the settings."""
    text = os.environ.get(PREFIX + "CACHE", "")
    return _path(text) if text else Settings().cache_path


def variables() -> list[tuple[str, str, str]]:
    """(variable, default, meaning) of every setting, for --help and the docs."""
    return [
        (PREFIX + f.name.upper(), "" if f.default is None else str(f.default), f.metadata["rule"].meaning)
        for f in fields(Settings)
    ]


def _unknown_message(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
    mend = f"did you mean {near[0]}?" if near else f"unset it, or use one of {', '.join(known)}"
    return f"{name} is not a setting of twzrd; {mend}"
