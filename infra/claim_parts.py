"""The parts of the claim side that show what was earned and pay it, put together from the settings. infra.claiming
takes them in.

In: what all parts share, and the settings. Out: parts for claim_api.server.
"""

from functools import partial
from typing import Any

import asyncpg

from claim_api.actions import Actions
from claim_api.eligibility.find import Finding
from claim_api.eligibility.pages import Eligibility
from claim_api.identity.sessions import Sessions
from claim_api.ledger.reserve import Limits as ClaimLimits
from claim_api.limits import Limits
from claim_api.original.pages import Offered, Original
from claim_api.part_counters import PartCounters
from claim_api.payer.door import PayerClient
from claim_api.payments.pages import Claims, ClaimTerms
from claim_api.payments.waiting import Waiting
from claim_api.public import PublicFigures
from claim_api.routing import Part
from claim_api.web_database import WebDatabase
from infra.settings import Settings

CONNECT_S = 10.0


def earned_and_paid(
    settings: Settings,
    dsn: str,
    public_url: str,
    writing: WebDatabase,
    reading: WebDatabase,
    sessions: Sessions,
    limits: Limits,
    counters: PartCounters,
) -> list[Part]:
    """dsn: of role twzrd_web, as both databases are; writing and reading are opened before these start."""
    finding, payer = Finding(reading, counters), PayerClient(settings.payer_socket_path)
    claims = _claims(settings, dsn, writing, sessions, limits, counters, payer)
    offered = Offered(claims=claims, mint=settings.mint, fee=settings.claim_fee, debug=settings.enable_debug == "on")
    parts: list[Part] = [
        Eligibility(finding, sessions, limits, counters),
        Original(finding, sessions, limits, offered),
        PublicFigures(finding, limits),
    ]
    if claims is not None:
        parts.append(claims)
    if settings.actions == "on":
        parts.append(Actions(reading, claims, payer, limits, counters, public_url, settings.cluster))
    return parts


def _claims(
    settings: Settings,
    dsn: str,
    database: WebDatabase,
    sessions: Sessions,
    limits: Limits,
    counters: PartCounters,
    payer: PayerClient,
) -> Claims | None:
    """None where no mint is configured."""
    if not settings.mint:
        return None
    terms = ClaimTerms(
        cluster=settings.cluster,
        mint=settings.mint,
        fee=settings.claim_fee,
        limits=ClaimLimits(
            minimum_base_units=settings.claim_min_base_units,
            viewer_day_base_units=settings.claim_viewer_day_base_units,
            wallet_day_base_units=settings.claim_wallet_day_base_units,
        ),
        local_node=settings.rpc_urls.reveal().split(",")[0].strip() if settings.cluster == "localnet" else "",
    )
    waiting = Waiting(partial(_listening, dsn))
    return Claims(database, sessions, limits, counters, payer, waiting, terms)


async def _listening(dsn: str) -> Any:
    return await asyncpg.connect(dsn, timeout=CONNECT_S, server_settings={"application_name": "twzrd web"})
