"""The database schema of the read models: brings a database up to date before any projection runs.

Tables lie in `public` under plain names, so that an operator's psql finds them without a search path.
"""

from pathlib import Path
from typing import Any, Final

from streams.log import migrations

DIRECTORY: Final = Path(__file__).with_name("migrations")
NOTES: Final = "public.projection_migration"
"""The table that notes which files ran."""


async def migrate(connection: Any) -> list[str]:
    """Run what has not run yet; returns the files run now. Raises streams.log.migrations.MigrationError."""
    return await migrations.apply(connection, DIRECTORY, NOTES)


async def status(connection: Any) -> list[migrations.Migration]:
    """All files in order, with when they ran."""
    return await migrations.status(connection, DIRECTORY, NOTES)
