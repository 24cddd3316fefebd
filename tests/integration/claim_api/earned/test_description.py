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
from infra.twitch_login.server import served
from infra.twitch_login.state import LoginState
from tests.claims_site import ClaimsSite, claims_site
from tests.claims_world import ClaimsWorld
from tests.hours import sealed_hour, viewers_of
from tests.signed_in import SignedIn, sign_in

EXAMPLES = 12
"""Of each operation."""
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
ORIGINALS_500 = ("RPC_ERROR", "MINT_FAILED", "INSUFFICIENT_FUNDS", "MINT_NOT_FOUND")
NOT_ASKED = {"/v1/stream"}
"""A stream does not end."""
END_THE_SESSION = {"/v1/opt-out", "/auth/sign-out"}
"""Each request of these has a session of its own, of another viewer."""


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
    async with served(LoginState()) as twitch, claims_site(claims, tmp_path, twitch=twitch, enable_debug="on") as site:
        await claims.seal(sealed_hour(viewers_of(3)))
        await claims.hours(1000, count=3, first=1)
        await claims.bind(1000)
        yield site
    patch.undo()


async def test_a_zero_byte_is_a_bad_request_and_no_fault_of_the_database(busy_site: ClaimsSite) -> None:
    browser = await busy_site.browser(1000)
    named = {"channel": "a\0b", "epoch_start_s": 0, "revision": 0}
    for said in (
        await browser.post("/v1/claims", {"allocations": [named]}),
        await browser.get("/v1/channels?after=a%00"),
        await browser.get("/v1/channels/a%00/epochs"),
        await browser.get("/v1/wallets/a%00/claimable"),
        await browser.get("/auth/twitch/login?return=/a%00"),
    ):
        assert said.status == 400, said.body


async def test_no_answer_that_the_description_does_not_foresee(busy_site: ClaimsSite, seed: int) -> None:
    loop = asyncio.get_running_loop()

    async def begun(viewer_key: int) -> SignedIn:
        return await sign_in(busy_site.sessions, busy_site.database, viewer_key, f"viewer{viewer_key}")

    signed_in = await begun(1000)
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    operations: list[Any] = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    operations = [one for one in operations if one.path not in NOT_ASKED]
    assert len(operations) == sum(map(len, DOCUMENT["paths"].values())) - len(NOT_ASKED)
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
            if headers and case.path in END_THE_SESSION:
                case.headers.update(asyncio.run_coroutine_threadsafe(begun(1001), loop).result(20).changing)
            else:
                case.headers.update(headers)
            response = case.call(base_url=busy_site.base, timeout=20, allow_redirects=False)
            met.add((operation.label, str(response.status_code)))
            if response.status_code == 500:  # what the original said with 500 is no fault of the server
                assert response.json().get("error") in ORIGINALS_500, response.text
            assert response.status_code != 503, f"everything is there: {response.text}"
            case.validate_response(response, checks=CHECKS)

        one()

    await asyncio.to_thread(ask_all)
    # The good path was met too, not refusals only.
    assert set(busy_site.opted_out) == {"twitch:id:1001"}
    for label in (
        "GET /v1/eligibility",
        "GET /v1/me",
        "GET /v1/claims",
        "POST /v1/claims",
        "GET /api/eligibility",
        "POST /v1/opt-out",
        "POST /auth/sign-out",
        "POST /rpc",
        "GET /metrics",
    ):
        assert any(which == label and status.startswith("2") for which, status in met), (label, sorted(met))
    for label in ("GET /auth/twitch/login", "GET /api/auth/twitch/login"):
        assert (label, "302") in met, (label, sorted(met))
    for label in ("POST /auth/twitch/login", "GET /auth/twitch/callback", "GET /api/auth/twitch/callback"):
        assert (label, "303") in met, (label, sorted(met))
