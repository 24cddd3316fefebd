"""Numbered SQL files, applied in order by streams.log.migrations; docs/schema.sql is their sum."""
