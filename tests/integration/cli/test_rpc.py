"""`twzrd serve` passes JSON-RPC on to the nodes of TWZRD_RPC_URLS, shows how they stand, and never their keys."""

import json
from pathlib import Path

import aiohttp
import pytest

from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_sign_in import SECRETS as TWITCH
from tests.integration.cli.test_sign_in import listens, running
from tests.scripted_rpc import SECRETS, USER_KEY, ScriptedNode, served

MINT = "So11111111111111111111111111111111111111112"
ONE = {"jsonrpc": "2.0", "id": 7, "method": "getBalance", "params": ["wallet"]}


@pytest.mark.postgres
async def test_a_browser_reaches_a_node_through_serve(twzrd: Twzrd, tmp_path: Path) -> None:
    twzrd("keys", "init")
    async with served(ScriptedNode(name="n1")) as node, served(ScriptedNode(name="n2", always=500)) as broken:
        urls = ",".join(one.url.replace(f"{USER_KEY}:{USER_KEY}@", "") for one in (broken, node))
        settings = {"TWZRD_MINT": MINT, "TWZRD_RPC_URLS": urls, "TWZRD_LOG_FORMAT": "json", **TWITCH}
        async with running(tmp_path / "home", "serve", "--port", "0", **settings) as serving:
            base, claims = await listens(serving)
            assert claims
            async with aiohttp.ClientSession() as browser:
                async with browser.post(f"{base}/rpc", json=ONE) as answer:
                    assert answer.status == 200
                    assert json.loads(await answer.read())["result"]["by"] == "n1"
                async with browser.get(f"{base}/metrics") as page:
                    metrics = await page.text()
            port = node.url.partition("@127.0.0.1:")[2].partition("/")[0]
            assert f'twzrd_rpc_requests_total{{endpoint="127.0.0.1:{port}",outcome="ok"}}' in metrics
            assert 'twzrd_web_rpc_total{what="call"} 1.0' in metrics
            assert not [secret for secret in SECRETS if secret in metrics]
