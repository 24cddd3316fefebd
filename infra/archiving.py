"""`twzrd archive`: the archiver over the settings' log."""

from infra import compose
from infra.settings import Settings
from infra.stopping import stop_on_signals
from streams.log.archive.archiver import Archiver


async def run(settings: Settings, *, once: bool) -> None:
    """Until asked to stop, or (once) until nothing more is there."""
    async with compose.open_log(settings) as log:
        archiver = Archiver(log, settings.archive_path)
        if not once:
            await archiver.run(stop_on_signals())
            return
        while await archiver.step():
            pass
        await archiver.flush()
