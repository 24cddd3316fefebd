"""Keys go where Kafka's own clients put them."""

from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as kafkas_murmur2
from hypothesis import given
from hypothesis import strategies as st

from streams.log.partitioner import murmur2, partition_of


@given(st.binary(max_size=70))
def test_murmur2_is_kafkas(data: bytes) -> None:
    assert murmur2(data) == kafkas_murmur2(data)


@given(st.binary(max_size=70), st.integers(1, 1024))
def test_the_partition_is_the_one_aiokafka_chooses(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


def test_known_hashes_of_apache_kafkas_own_test() -> None:
    # UtilsTest.testMurmur2 of Apache Kafka gives these as signed 32-bit numbers.
    known = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    assert {key: murmur2(key) for key in known} == {key: signed & 0xFFFFFFFF for key, signed in known.items()}
