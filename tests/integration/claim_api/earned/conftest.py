"""Each test of this folder has a database, a chain, a mint and a served claim side of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld, claims_world


@pytest.fixture(scope="session")
def pg_template(migrated_template: str) -> str:
    """Each test's database is migrated."""
    return migrated_template


@pytest.fixture
async def claims(pg_dsn: str, tmp_path: Path) -> AsyncIterator[ClaimsWorld]:
    async with claims_world(pg_dsn, tmp_path) as world:
        yield world


@pytest.fixture
async def site(claims: ClaimsWorld, tmp_path: Path) -> AsyncIterator[ClaimsSite]:
    async with claims_site(claims, tmp_path) as made:
        yield made
