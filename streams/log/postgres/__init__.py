"""The log on Postgres: `PostgresLog` is the port's LeasingLog; `Bounds` are its numbers."""

from streams.log.postgres.log import Bounds, PostgresLog

__all__ = ["Bounds", "PostgresLog"]
