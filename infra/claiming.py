"""The claim side of `twzrd serve`: its parts, put together from the settings. Others add theirs in `parts_of`.

In: settings, the DSN of the read models' owner, the address browsers use. Out: parts for claim_api.server, none where
the claim side is off: it needs a session key and Twitch credentials.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from prometheus_client import CollectorRegistry

from claim_api.errors import ApiError
from claim_api.identity.me import Me, SayOptOut, Terms
from claim_api.identity.session_key import SessionKey
from claim_api.identity.sessions import Sessions
from claim_api.identity.sign_in import SignIn
from claim_api.identity.twitch import ClientCredentials, TwitchLogin
from claim_api.identity.validation import Validation
from claim_api.limits import Limits
from claim_api.page.demo_wallet import DemoWallet
from claim_api.part_counters import PartCounters
from claim_api.routing import Part, Route
from claim_api.rpc_part import RpcPart
from claim_api.rpc_proxy import RpcProxy
from claim_api.wallets.pages import Wallets
from claim_api.web_database import WebDatabase
from infra import claim_parts, databases, keys, twitch_credentials
from infra.rpc_nodes import rpc_nodes
from infra.settings import Settings
from infra.twitch_login.state import CLIENT_ID, CLIENT_SECRET
from schemas import control
from streams.chain.rpc.metrics import PoolMetrics
from streams.chain.rpc.pool import RpcPool
from streams.log.port import LogError

_log: Final = logging.getLogger(__name__)
WEB_ROLE: Final = "twzrd_web"
CALLBACK: Final = "/auth/twitch/callback"
SAY_TIMEOUT_S: Final = 10.0
BY_THEMSELVES: Final = "viewer"


@dataclass(frozen=True, slots=True)
class Shared:
    """What all parts of the claim side share."""

    database: WebDatabase
    sessions: Sessions
    limits: Limits
    counters: PartCounters
    public_url: str


class DatabasePart:
    """Opens the claim side's database before all other parts and closes it after them."""

    def __init__(self, database: WebDatabase) -> None:
        self._database = database

    def routes(self) -> Sequence[Route]:
        """None."""
        return ()

    async def start(self) -> None:
        """Connects nothing yet."""
        await self._database.open()

    async def stop(self) -> None:
        """Ends the connections."""
        await self._database.close()


def parts_of(
    settings: Settings, dsn: str, listens_at: str, say_opt_out: SayOptOut, registry: CollectorRegistry
) -> list[Part]:
    """All parts, in the order of their start; none where the claim side is off. Raises KeyFileError for a key or
    credentials that are there but cannot be used."""
    if not settings.session_key_path.exists() or not _has_credentials(settings):
        _log.info("the claim side is off: it needs a session key (twzrd keys init) and Twitch credentials")
        return []
    key = SessionKey(keys.read_session_keys(settings.session_key_path))
    given = twitch_credentials.read(settings)
    public_url = settings.public_url or reachable(listens_at)
    counters = PartCounters()
    registry.register(counters)
    database = WebDatabase(web_dsn(settings, dsn))
    trusted = [ip_network(piece.strip()) for piece in settings.trusted_proxies.split(",") if piece.strip()]
    shared = Shared(
        database, Sessions(database, key, public_url, counters), Limits(counters, trusted=trusted), counters, public_url
    )
    twitch = TwitchLogin(
        ClientCredentials(given.client_id, given.client_secret),
        settings.twitch_id_url,
        settings.twitch_api_url,
        public_url + CALLBACK,
    )
    return [
        DatabasePart(database),
        *_identity(shared, key, twitch, settings, say_opt_out),
        _wallets(shared, settings),
        *_earned_and_paid(shared, settings, dsn),
        *_rpc(shared, settings, registry),
        *([DemoWallet(settings.cluster)] if settings.demo_wallet == "on" else []),
    ]


def _identity(
    shared: Shared, key: SessionKey, twitch: TwitchLogin, settings: Settings, say_opt_out: SayOptOut
) -> list[Part]:
    database, sessions, limits, counters = shared.database, shared.sessions, shared.limits, shared.counters
    validation = Validation(database, sessions, key, twitch, counters)
    sign_in = SignIn(database, sessions, key, twitch, limits, counters, shared.public_url, validation.wake)
    terms = Terms(settings.cluster, settings.mint, settings.claim_fee)
    # Twitch's connections open with sign_in, so it starts before validation.
    return [sign_in, validation, Me(database, sessions, limits, terms, say_opt_out, validation.wake)]


def _wallets(shared: Shared, settings: Settings) -> Part:
    return Wallets(shared.database, shared.sessions, shared.limits, shared.counters, settings.cluster)


def _earned_and_paid(shared: Shared, settings: Settings, dsn: str) -> list[Part]:
    role_dsn = web_dsn(settings, dsn)
    reading = WebDatabase(role_dsn, pool_size=4, read_only=True)
    parts = claim_parts.earned_and_paid(
        settings, role_dsn, shared.public_url, shared.database, reading, shared.sessions, shared.limits, shared.counters
    )
    return [DatabasePart(reading), *parts]


def _rpc(shared: Shared, settings: Settings, registry: CollectorRegistry) -> list[Part]:
    """None without a mint either: nobody here has a reason to ask the chain."""
    if not settings.mint:
        return []
    pool = RpcPool(rpc_nodes(settings))
    registry.register(PoolMetrics(pool))
    return [RpcPart(pool, RpcProxy(pool, shared.counters), shared.limits.address)]


def opt_out_by(say: Callable[[control.OptOut], Awaitable[None]]) -> SayOptOut:
    """What `twzrd optout add` does, for one viewer who asks for it themselves. say: brings it to the control stream;
    raises LogError. Raises ApiError 503."""

    async def opt_out(identity: str) -> None:
        # The identity alone, as `twzrd optout add` does for one: logins pass on to others.
        said = control.OptOut(control.VERSION, identity, BY_THEMSELVES, time.time_ns() // 1_000_000, "")
        try:
            async with asyncio.timeout(SAY_TIMEOUT_S):
                await say(said)
        except (LogError, TimeoutError, OSError) as error:
            _log.warning("an opt-out cannot be said now: %s: %s", type(error).__name__, error)
            raise ApiError(
                503, "log_away", "the log does not take your opt-out now", "try again", [(b"retry-after", b"5")]
            ) from error

    return opt_out


def simulated_twitch(settings: Settings, port: int) -> dict[str, str]:
    """Makes the session key, and says the settings under which `twzrd twitch-login` stands for Twitch: for a newcomer
    without an application there. Empty where there are credentials: then Twitch itself is asked."""
    keys.init_session_key(settings.session_key_path)
    if _has_credentials(settings):
        return {}
    return {
        "TWZRD_TWITCH_ID_URL": f"http://127.0.0.1:{port}/oauth2",
        "TWZRD_TWITCH_API_URL": f"http://127.0.0.1:{port}/helix",
        "TWZRD_TWITCH_CLIENT_ID": CLIENT_ID,
        "TWZRD_TWITCH_CLIENT_SECRET": CLIENT_SECRET,
    }


def web_dsn(settings: Settings, dsn: str) -> str:
    """The database as role twzrd_web: the setting's, or the owner's DSN with another user and no password."""
    return settings.web_database_url or databases.role_dsn(dsn, WEB_ROLE)


def reachable(listens_at: str) -> str:
    """An address that a browser of this machine can use: a server that listens everywhere is at 127.0.0.1, too."""
    return listens_at.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")


def _has_credentials(settings: Settings) -> bool:
    given = settings.twitch_client_id or settings.twitch_client_secret.reveal()
    return bool(given) or settings.twitch_credentials_path.exists()
