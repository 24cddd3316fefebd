"""What the API may know and how far each thing may go. infra composes it from the settings; nothing else is read."""

from dataclasses import dataclass, field
from pathlib import Path

from claim_api.errors import ApiConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Every limit of the process; each refusal is counted under the limit's name."""

    path_bytes: int = 1024
    query_bytes: int = 2048
    header_bytes: int = 16 * 1024
    """Names and values together. The HTTP library refuses by itself, without JSON, beyond four times as much."""
    body_bytes: int = 64 * 1024
    """Of a POST; nothing else takes a body."""
    body_s: float = 10.0
    """How long a body may take to come."""
    in_flight: int = 512
    """Requests at work at once, streams not counted."""
    connections: int = 4096
    page_rows: int = 1000
    """Most rows in one answer; the default is page_default_rows."""
    page_default_rows: int = 100
    stream_clients: int = 256
    stream_kept_seals: int = 4096
    """Newest seals kept in memory for streams; a client that is further behind reads them from the database."""
    stream_boards: int = 1000
    """Channels whose live boards are streamed, the busiest first."""
    stream_reads: int = 4
    """Streams that may read the database at once."""
    downloads: int = 32
    """Answers of more than downloads.WHOLE_BYTES under way at once; each holds its dump in memory."""
    download_s: float = 600.0
    """How long one may take in all."""
    proof_cache_bytes: int = 512 << 20
    dump_cache_bytes: int = 64 << 20
    builds: int = 32
    """Epochs being made ready for proofs or downloads at once, those that wait for a thread included."""
    build_threads: int = 2
    remembered_epochs: int = 100_000
    """Epochs, and as many channel names, whose newest revision is known without asking the database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiConfig:
    """One API process. pepper: 32 bytes, or None where viewers cannot be opened; operator_key: the secret that
    private answers ask for, or None where there are none. Times in seconds or as named."""

    dsn: str = field(repr=False)
    host: str = "127.0.0.1"
    port: int = 8480
    """0 takes a free port; Api.port says which."""
    reuse_port: bool = False
    """Several worker processes may listen on the same port."""
    pepper: bytes | None = field(default=None, repr=False)
    operator_key: str | None = field(default=None, repr=False)
    pool_size: int = 4
    query_timeout_s: float = 10.0
    refresh_ms: int = 1000
    """Longest time that a new revision stays unseen where its notice got lost."""
    heartbeat_s: float = 15.0
    send_timeout_s: float = 30.0
    """A stream's client that takes nothing for so long is let go."""
    max_lag_records: int = 100_000
    """Projections further behind than this make health say degraded."""
    max_seal_age_s: int | None = None
    """Where live channels are watched: a newest seal older than this makes health say degraded."""
    fast_cache_dir: Path | None = None
    """Where compiled hash lanes are kept; see fast_hashing."""
    fast_hashing: bool = True
    bounds: Bounds = field(default_factory=Bounds)

    def __post_init__(self) -> None:
        if self.pepper is not None and len(self.pepper) != 32:
            raise ApiConfigError(f"the pepper has {len(self.pepper)} bytes; give 32, or none")
        if self.operator_key is not None and len(self.operator_key) < 16:
            raise ApiConfigError("the operator key has fewer than 16 characters; make one with: twzrd keys init")
        if not 0 <= self.port <= 65_535:
            raise ApiConfigError(f"port {self.port} is none; give 0 to 65535")
