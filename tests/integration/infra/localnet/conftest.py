"""Local clusters in this process: slots go on by hand, so that nothing depends on time."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.localnet import Localnet, LocalnetOptions
from tests.localnet_client import Client, Issuer, client


@pytest.fixture
async def localnet(tmp_path: Path) -> AsyncIterator[Localnet]:
    """finalized is 3 slots behind; the newest slot is 11."""
    options = LocalnetOptions(folder=tmp_path / "localnet", port=0, slot_ms=0, finality_slots=3)
    async with Localnet(options) as running:
        running.chain.advance(10)
        yield running


@pytest.fixture
async def node(localnet: Localnet) -> AsyncIterator[Client]:
    async with client(localnet.url) as made:
        yield made


@pytest.fixture
async def issuer(node: Client) -> Issuer:
    return await Issuer.make(node)
