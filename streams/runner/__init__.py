"""Runners: plain loops that drive shards over a log, on Postgres alone or by a Kafka consumer group."""
