"""A reconciler with two connections, and with one."""

import pytest

from tests.reconciler_world import World


@pytest.fixture
def world(seed: int) -> World:
    return World(seed, lines=2)


@pytest.fixture
def single(seed: int) -> World:
    return World(seed)
