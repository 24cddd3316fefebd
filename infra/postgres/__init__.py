"""Embedded Postgres: a whole server under one directory, started and stopped by the program that needs it."""

from infra.postgres.binaries import bin_dir
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.errors import PostgresError, PostgresUnavailable

__all__ = ["EmbeddedPostgres", "PostgresError", "PostgresUnavailable", "bin_dir"]
