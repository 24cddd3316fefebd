"""The description against the claim side that is served: the same routes, and no answer that it does not foresee.

Schemathesis makes requests of every operation from the description, right and wrong ones, seeded by TWZRD_SEED.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from prometheus_client import CollectorRegistry
from schemathesis import GenerationMode
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from solders.keypair import Keypair

from claim_api.openapi import DOCUMENT
from claim_api.openapi.claim_paths import PATHS
from claim_api.original.pages import Offered
from claim_api.routing import ANY, Part
from infra.claiming import parts_of
from infra.keys import init_session_key
from infra.setting_rules import Secret
from infra.settings import Settings
from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.hours import sealed_hour, viewers_of
from tests.signed_in import sign_in

EXAMPLES = 12
"""Of each operation."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
ORIGINALS_500 = ("RPC_ERROR", "MINT_FAILED", "INSUFFICIENT_FUNDS", "MINT_NOT_FOUND")
NOT_ASKED = {"/v1/stream", "/v1/opt-out", "/auth/sign-out", "/metrics", "/rpc"} | {
    path for path in PATHS if "twitch" in path
}
"""A stream does not end; these end the session, or belong to a part that is not served here."""


def described() -> set[tuple[str, str]]:
    return {(method.upper(), re.sub(r"\{\w+\}", ANY, path)) for path, methods in PATHS.items() for method in methods}


def routed(parts: list[Part]) -> set[tuple[str, str]]:
    return {(method, f"/{route.path}") for part in parts for route in part.routes() for method in route.methods}


def test_every_route_is_described_and_every_description_routed(tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path,
        mint=str(Keypair().pubkey()),
        enable_debug="on",
        actions="on",
        twitch_client_id="id",
        twitch_client_secret=Secret("secret"),
    )
    init_session_key(settings.session_key_path)

    async def nobody(identity: str) -> None:
        raise AssertionError(identity)

    dsn = "postgresql://twzrd@127.0.0.1:1/none"
    parts = parts_of(settings, dsn, "http://127.0.0.1:8480", nobody, CollectorRegistry())
    assert routed(parts) == described()


def test_every_post_of_ours_says_that_it_wants_the_token() -> None:
    for path, methods in PATHS.items():
        if "post" in methods and path not in ("/v1/actions/claim", "/rpc", "/auth/twitch/login", "/api/claim"):
            assert methods["post"]["security"] == [{"session": [], "csrf": []}], path


@pytest.fixture
async def busy_site(claims: ClaimsWorld, tmp_path: Path) -> AsyncIterator[ClaimsSite]:
    """With something of everything; a claim that waits for the chain does not wait long."""
    patch = pytest.MonkeyPatch()
    patch.setattr("claim_api.payments.pages.MAX_WAIT_MS", 50)
    patch.setattr("infra.claim_parts.Offered", lambda **given: Offered(**given, wait_s=0.05))
    async with claims_site(claims, tmp_path, enable_debug="on") as site:
        await claims.seal(sealed_hour(viewers_of(3)))
        await claims.hours(1000, count=3, first=1)
        await claims.bind(1000)
        yield site
    patch.undo()


async def test_no_answer_that_the_description_does_not_foresee(busy_site: ClaimsSite, seed: int) -> None:
    signed_in = await sign_in(busy_site.sessions, busy_site.database, 1000, "viewer1000")
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    operations = [one for one in operations if one.path not in NOT_ASKED]
    assert len(operations) > 25
    met: set[tuple[str, str]] = set()

    def ask_all() -> None:
        for operation in operations:
            for mode in GenerationMode:
                for headers in (signed_in.changing, {}):
                    # Nothing can be wrong with a request that takes nothing.
                    with contextlib.suppress(*([Unsatisfiable] if mode is GenerationMode.NEGATIVE else [])):
                        ask(operation, mode, headers)

    def ask(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> None:
        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def one(case: Any) -> None:
            case.headers.update(headers)
            response = case.call(base_url=busy_site.base, timeout=20)
            met.add((operation.label, str(response.status_code)))
            if response.status_code == 500:  # what the original said with 500 is no fault of the server
                assert response.json().get("error") in ORIGINALS_500, response.text
            case.validate_response(response, checks=CHECKS)

        one()

    await asyncio.to_thread(ask_all)
    # The good path was met too, not refusals only.
    for label in (
        "GET /v1/eligibility",
        "GET /v1/me",
        "GET /v1/claims",
        "POST /v1/claims",
        "GET /api/eligibility",
    ):
        assert any(which == label and status.startswith("2") for which, status in met), (label, sorted(met))
