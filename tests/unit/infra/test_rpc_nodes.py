"""How often each node may be asked."""

from infra.rpc_nodes import rpc_nodes
from infra.setting_rules import Secret
from infra.settings import Settings


def test_a_localnet_is_asked_freely_and_others_as_a_small_plan_allows() -> None:
    two = Secret("http://127.0.0.1:1, http://127.0.0.1:2")
    assert [one.rate_per_s for one in rpc_nodes(Settings(rpc_urls=two))] == [5_000, 5_000]
    assert [(one.rate_per_s, one.burst) for one in rpc_nodes(Settings(rpc_urls=two, cluster="mainnet"))] == [
        (25, 50)
    ] * 2
    assert [one.rate_per_s for one in rpc_nodes(Settings(rpc_urls=two, cluster="mainnet", rpc_per_s=90))] == [90, 90]
