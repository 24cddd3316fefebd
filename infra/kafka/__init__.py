"""A real Apache Kafka for development and tests: one KRaft node under one directory."""

from infra.kafka.broker import DevKafka
from infra.kafka.errors import KafkaError, KafkaUnavailable

__all__ = ["DevKafka", "KafkaError", "KafkaUnavailable"]
