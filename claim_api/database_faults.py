"""What asyncpg raises when the database is away, or goes away under a statement: one list for every process."""

from typing import Final

import asyncpg

FAULTS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)
"""TimeoutError is an OSError. InternalClientError is no bug of ours: a connection that the server ends between two
messages of one statement says "cannot switch to state"."""
