"""The log on Apache Kafka: `KafkaLog` keeps the promises of streams.log.port with aiokafka."""

from streams.log.kafka.log import KafkaLog
from streams.log.kafka.topics import KafkaSettings

__all__ = ["KafkaLog", "KafkaSettings"]
