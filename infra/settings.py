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

from infra import setting_rules as rules
from infra.setting_rules import Secret
from schemas.errors import TwzrdError

PREFIX = "TWZRD_"
# Read elsewhere on purpose: by the tests' fixtures and the benchmark, never by a process of the system.
NOT_SETTINGS = frozenset(
    {"TWZRD_REQUIRE_BROWSER", "TWZRD_REQUIRE_INSPIRCD", "TWZRD_REQUIRE_KAFKA", "TWZRD_SHARED", "TWZRD_SEED"}
)


class SettingsError(TwzrdError):
    """A setting that cannot be: the message names the variable, its value and what it may be."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """How one variable is read: `parse` raises ValueError with what the value may be."""

    meaning: str
    parse: Callable[[str], Any]


def _setting(default: Any, meaning: str, parse: Callable[[str], Any]) -> Any:
    return field(default=default, metadata={"rule": _Rule(meaning, parse)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a process may know about where it runs. Paths are absolute; empty strings mean "our own embedded one"."""

    home: Path = _setting(Path("~/.twzrd"), "everything that twzrd keeps: data, keys, archive", rules.path)
    log: Literal["postgres", "kafka"] = _setting("postgres", "where the log is", rules.one_of("postgres", "kafka"))
    engine: Literal["faust", "direct"] = _setting(
        "faust", "the worker, when the log is Kafka", rules.one_of("faust", "direct")
    )
    database_url: str = _setting("", "an own Postgres; empty starts the embedded one under home", rules.database_url)
    kafka_bootstrap: str = _setting("", "an own Kafka; empty means the development broker", rules.bootstrap)
    partitions: int = _setting(8, "partitions of chat.events and epoch.sealed, fixed once made", rules.whole(1, 1024))
    topic_prefix: str = _setting("", "put before the names of the streams", rules.topic_prefix)
    policy_file: Path | None = _setting(None, "one policy or a list; none means the built-in one", rules.path)
    projections: str = _setting(
        "", "own projections beside ours, module:Class, more with commas; docs/projections.md", rules.classes
    )
    pepper_file: Path | None = _setting(None, "32 bytes as hex; default home/keys/pepper", rules.path)
    operator_key_file: Path | None = _setting(None, "the API's operator key; default home/keys/operator", rules.path)
    archive_dir: Path | None = _setting(None, "the long-term record; default home/archive", rules.path)
    cache: Path | None = _setting(None, "downloads (the development broker); default ~/.cache/twzrd", rules.path)
    api_host: str = _setting("127.0.0.1", "address the API listens on", str)
    api_port: int = _setting(8480, "port of the API; 0 takes a free one", rules.whole(0, 65_535))
    chat_server: str = _setting("irc.chat.twitch.tv:6697", "chat server of the collector, with TLS", rules.chat_server)
    chat_ca_file: Path | None = _setting(
        None, "PEM of the only authority to trust for it; none: the system's", rules.path
    )
    chat_membership: Literal["off", "on"] = _setting(
        "off", "whether the server is asked to say who comes and goes; counted only", rules.one_of("off", "on")
    )
    batch_envelopes: int = _setting(200, "most envelopes in one transaction or poll", rules.whole(1, 10_000))
    batch_wait_ms: int = _setting(50, "longest wait for a batch to fill", rules.whole(0, 60_000))
    batch_bytes: int = _setting(4 * 1024 * 1024, "most bytes in one batch", rules.whole(65_536, 64 * 1024 * 1024))
    twitch_client_id: str = _setting("", "Helix: the application's client id", str)
    twitch_client_secret: Secret = _setting(Secret(""), "Helix: its secret; better in the credentials file", Secret)
    twitch_credentials_file: Path | None = _setting(
        None, "two lines client_id=… and client_secret=…, mode 0600; default home/keys/twitch", rules.path
    )
    twitch_id_url: str = _setting("https://id.twitch.tv/oauth2", "where app tokens come from", rules.http_url)
    twitch_api_url: str = _setting("https://api.twitch.tv/helix", "where Helix answers", rules.http_url)
    discover_viewers: int = _setting(25, "discovery: least viewers of a channel", rules.whole(0, 10_000_000))
    discover_live_min: int = _setting(10, "discovery: minutes a channel must have been live", rules.whole(0, 1440))
    discover_channels: int = _setting(
        60, "discovery: most channels at a time; a round reads 2,000 streams", rules.whole(1, 2_000)
    )
    close_after_min: int = _setting(
        10, "minutes without a collector's record until a channel counts as left", rules.whole(2, 1440)
    )
    keep_text: Literal["off", "on"] = _setting(
        "off", "whether message text is kept, for `twzrd raw`", rules.one_of("off", "on")
    )
    raw_dir: Path | None = _setting(None, "day files of `twzrd raw`; default home/raw", rules.path)
    raw_days: int = _setting(30, "days that raw events and texts are kept", rules.whole(1, 3650))
    collector_name: str = _setting("", "what this collector is called in reports; empty: the host's name", str)
    spool_mb: int = _setting(1024, "most MiB that wait on disk while the log is away", rules.whole(1, 1_000_000))
    history_url: str = _setting("", "a recent-messages service to fill gaps from; empty: none", rules.history_url)
    history_per_minute: int = _setting(60, "most requests to that service in a minute", rules.whole(1, 6_000))
    public_url: str = _setting("", "the API's address as browsers see it; empty: where it listens", rules.public_url)
    trusted_proxies: str = _setting(
        "", "proxies before the API whose X-Forwarded-For is believed; empty: none", rules.networks
    )
    web_database_url: str = _setting(
        "", "the database as role twzrd_web; empty: made from the other", rules.database_url
    )
    payer_database_url: str = _setting("", "the same as twzrd_payer", rules.database_url)
    signer_database_url: str = _setting("", "the same as twzrd_signer", rules.database_url)
    session_key_file: Path | None = _setting(None, "32 bytes as hex; default home/keys/session", rules.path)
    marker_secret_file: Path | None = _setting(None, "32 bytes as hex; default home/keys/marker", rules.path)
    mint_authority_file: Path | None = _setting(
        None, "the key that mints, a Solana key file; default home/keys/mint-authority.json", rules.path
    )
    fee_payer_file: Path | None = _setting(
        None, "the key that pays fees, a Solana key file; default home/keys/fee-payer.json", rules.path
    )
    signer_socket: Path | None = _setting(None, "where the signer listens; default home/run/signer.sock", rules.path)
    payer_socket: Path | None = _setting(
        None, "where the payer listens for the API; default home/run/payer.sock", rules.path
    )
    cluster: Literal["localnet", "devnet", "testnet", "mainnet"] = _setting(
        "localnet", "which Solana the claims are paid on", rules.one_of("localnet", "devnet", "testnet", "mainnet")
    )
    rpc_urls: Secret = _setting(
        Secret("http://127.0.0.1:8899"), "Solana RPC nodes, with commas; they may hold provider keys", rules.rpc_urls
    )
    mint: str = _setting("", "address of the CHAT mint; empty: no claims", str)
    claim_source: Literal["mint", "treasury"] = _setting(
        "mint", "claims are minted, or transferred from the authority's own account", rules.one_of("mint", "treasury")
    )
    claim_fee: Literal["server", "viewer"] = _setting(
        "server", "who pays a claim's fee and the rent of a new account", rules.one_of("server", "viewer")
    )
    claim_min_base_units: int = _setting(1, "least amount of one claim", rules.whole(1, 2**63 - 1))
    claim_viewer_day_base_units: int = _setting(
        0, "most that one viewer may claim in a day; 0: no limit", rules.base_units
    )
    claim_wallet_day_base_units: int = _setting(
        0, "most that one wallet may get in a day; 0: no limit", rules.base_units
    )
    actions: Literal["off", "on"] = _setting(
        "off",
        "Solana Actions: whoever knows a wallet may begin its claim, which only the wallet can end",
        rules.one_of("off", "on"),
    )
    enable_debug: Literal["off", "on"] = _setting(
        "off", "whether GET /api/debug/claim answers", rules.one_of("off", "on")
    )
    rpc_per_s: int = _setting(
        0, "requests a second that each node's plan allows; 0: 25, of a localnet 5,000", rules.whole(0, 100_000)
    )
    demo_wallet: Literal["off", "on"] = _setting(
        "off", "a wallet in the claim page for those without one; on a localnet only", rules.one_of("off", "on")
    )
    priority_fee_micro_lamports: int = _setting(0, "price of a compute unit in claims", rules.whole(0, 10_000_000))
    log_level: str = _setting("info", "least level that is logged", rules.one_of("debug", "info", "warning", "error"))
    log_format: str = _setting(
        "auto", "auto: text on a terminal, else JSON lines", rules.one_of("auto", "json", "text")
    )

    @property
    def pepper_path(self) -> Path:
        return self.pepper_file or self.home / "keys" / "pepper"

    @property
    def operator_key_path(self) -> Path:
        return self.operator_key_file or self.home / "keys" / "operator"

    @property
    def session_key_path(self) -> Path:
        return self.session_key_file or self.home / "keys" / "session"

    @property
    def marker_secret_path(self) -> Path:
        return self.marker_secret_file or self.home / "keys" / "marker"

    @property
    def mint_authority_path(self) -> Path:
        return self.mint_authority_file or self.home / "keys" / "mint-authority.json"

    @property
    def mint_key_path(self) -> Path:
        return self.home / "keys" / "mint.json"

    @property
    def fee_payer_path(self) -> Path:
        return self.fee_payer_file or self.home / "keys" / "fee-payer.json"

    @property
    def signer_socket_path(self) -> Path:
        return self.signer_socket or self.home / "run" / "signer.sock"

    @property
    def payer_socket_path(self) -> Path:
        return self.payer_socket or self.home / "run" / "payer.sock"

    @property
    def last_signed_path(self) -> Path:
        return self.home / "signer" / "last-signed.json"

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
    known = {PREFIX + f.name.upper(): (f.name, f.metadata["rule"]) for f in fields(Settings)}
    unknown = sorted(given.keys() - known.keys() - NOT_SETTINGS)
    if unknown:
        raise SettingsError(_unknown_message(unknown[0], list(known)))
    values: dict[str, Any] = {}
    for variable, (name, rule) in known.items():
        text = given.get(variable, "")
        if text == "":
            continue
        try:
            values[name] = rule.parse(text)
        except ValueError as error:
            hidden = isinstance(_default(name), Secret) or rule.parse is rules.database_url
            shown = "(hidden)" if hidden else rules.shown(text)
            raise SettingsError(f"{variable}={shown} is not allowed; it may be {error}") from None
    try:
        values["home"] = rules.path(str(home or values.get("home") or _default("home")))
    except ValueError as error:
        raise SettingsError(f"the home {home or _default('home')} is not allowed; it may be {error}") from None
    return Settings(**values)


def _default(name: str) -> Any:
    return Settings.__dataclass_fields__[name].default


def default_cache_dir() -> Path:
    """TWZRD_CACHE or ~/.cache/twzrd, for parts that are used without the rest of the settings."""
    text = os.environ.get(PREFIX + "CACHE", "")
    return rules.path(text) if text else Settings().cache_path


def colours_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Not with NO_COLOR (no-color.org), nor on a terminal that knows none."""
    given = os.environ if environ is None else environ
    return not given.get("NO_COLOR") and given.get("TERM") not in ("dumb", "unknown")


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
