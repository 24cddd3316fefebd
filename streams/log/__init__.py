"""The log as a port with adapters for Postgres, Kafka and archive files."""
