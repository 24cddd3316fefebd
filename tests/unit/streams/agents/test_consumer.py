"""The overrides of Faust's consumer are pinned to the version they were tested with, and still override something."""

import faust
import pytest
from faust.transport import consumer as faust_consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.agents.consumer import (
    TESTED_FAUST,
    ForgetfulOffsets,
    LowWaterConsumer,
    UntestedFaust,
    require_tested,
)


def test_another_faust_is_refused_by_name() -> None:
    require_tested(TESTED_FAUST)
    with pytest.raises(UntestedFaust, match=r"faust-streaming 0\.16\.0 is installed"):
        require_tested("0.16.0")


def test_the_installed_faust_is_the_tested_one() -> None:
    assert faust.__version__ == TESTED_FAUST


@pytest.mark.parametrize("name", ["_new_offset", "_filter_tps_with_pending_acks", "seek_to_committed"])
def test_each_override_replaces_a_method_that_faust_has(name: str) -> None:
    assert name in vars(LowWaterConsumer)
    assert callable(getattr(driver.Consumer, name))


def test_faust_asks_read_offset_by_item() -> None:
    """_drain_messages looks offsets up by __getitem__; that is what ForgetfulOffsets answers."""
    assert "_read_offset.__getitem__" in _source_of_drain()


def _source_of_drain() -> str:
    import inspect

    return inspect.getsource(faust_consumer.Consumer._drain_messages)


def test_read_offsets_of_our_topic_are_forgotten_and_others_kept() -> None:
    offsets = ForgetfulOffsets("chat.events")
    ours, other = TP("chat.events", 1), TP("changelog", 1)
    offsets[ours] = 7
    offsets.update({other: 9})
    assert offsets[ours] is None
    assert offsets[other] == 9
    assert offsets[TP("changelog", 2)] is None
