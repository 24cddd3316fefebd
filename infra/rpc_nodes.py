"""The Solana RPC nodes of the settings, with the rate that each is asked at."""

from typing import Final

from infra.settings import Settings
from streams.chain.rpc.config import DEFAULT_RATE_PER_S, EndpointConfig, endpoints_of

LOCALNET_RATE_PER_S: Final = 5_000.0
"""A localnet is ours alone; what a provider allows would hold it to 25 claims a second."""


def rpc_nodes(settings: Settings) -> list[EndpointConfig]:
    """TWZRD_RPC_URLS at TWZRD_RPC_PER_S, or what is usual for the cluster."""
    usual = LOCALNET_RATE_PER_S if settings.cluster == "localnet" else DEFAULT_RATE_PER_S
    return endpoints_of(settings.rpc_urls.reveal(), settings.rpc_per_s or usual)
