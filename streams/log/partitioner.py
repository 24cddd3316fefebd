"""Which partition a key goes to: Kafka's own rule, so that every adapter and every client agrees.

Stands before an append. In: key bytes and a partition count. Out: a partition number. Source: Apache Kafka,
org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

import struct
from functools import lru_cache

_M = 0x5BD1E995
_SEED = 0x9747B28C
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The 32-bit unsigned MurmurHash2 that Kafka's Java client uses."""
    whole = len(data) & ~3
    h = _SEED ^ len(data)
    for (word,) in struct.iter_unpack("<I", data[:whole]):
        k = word * _M & _MASK
        h = (h * _M & _MASK) ^ ((k ^ k >> 24) * _M & _MASK)
    if whole != len(data):
        h = (h ^ int.from_bytes(data[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """0 .. partitions - 1. Keys repeat (channels), so their answers are kept."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
