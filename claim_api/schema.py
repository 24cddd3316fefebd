"""The database schema of the claim side (schema `claims`), and its three roles: docs/claims.md, Roles.

Runs after the projections' migrations, whose read models it lets the roles read. Needs the right to create roles.
"""

from pathlib import Path
from typing import Any, Final

from streams.log import migrations

DIRECTORY: Final = Path(__file__).with_name("migrations")
NOTES: Final = "claims.migration"
"""The table that notes which files ran."""


async def migrate(connection: Any) -> list[str]:
    """Run what has not run yet; returns the files run now. Raises streams.log.migrations.MigrationError."""
    return await migrations.apply(connection, DIRECTORY, NOTES)


async def status(connection: Any) -> list[migrations.Migration]:
    """All files in order, with when they ran."""
    return await migrations.status(connection, DIRECTORY, NOTES)
