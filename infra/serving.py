"""`twzrd serve`: the API over the settings' database."""

import logging

from claim_api.server import serve

from claim_api.config import ApiConfig
from infra import compose, databases
from infra.keys import read_operator_key
from infra.settings import Settings
from infra.stopping import stop_on_signals

_log = logging.getLogger(__name__)


async def run(settings: Settings, host: str, port: int) -> None:
    """Until asked to stop."""
    stop = stop_on_signals()
    pepper = compose.pepper_of(settings)
    operator = settings.operator_key_path
    with compose.database(settings) as dsn:
        await databases.migrate(dsn)
        config = ApiConfig(
            dsn=dsn,
            host=host,
            port=port,
            pepper=pepper,
            operator_key=read_operator_key(operator) if operator.exists() else None,
            fast_cache_dir=settings.home / "cache" / "code",
        )
        _log.info("the API listens", extra={"host": host, "port": port})
        await serve(config, stop)
