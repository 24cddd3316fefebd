"""The chain of `twzrd demo`: a localnet of its own, keys made once, the mint, and the settings that all parts get.

In: the demo's settings, which name no mint. Out: one part more, an environment, and the mint on the chain. Everything
lies under home, so a second start goes on with the same mint, and no key of it is worth anything elsewhere.
"""

import asyncio
import contextlib
import dataclasses
from dataclasses import dataclass
from typing import Final

from solana.exceptions import SolanaRpcException
from solana.rpc.async_api import AsyncClient
from solders.pubkey import Pubkey

from claim_api.ledger import operate
from infra import databases, keys, minting
from infra.ports import free_pair
from infra.setting_rules import Secret
from infra.settings import Settings
from infra.supervisor import Part
from schemas.errors import TwzrdError
from streams.chain import keyfile
from streams.chain.mint import TokenNames
from streams.chain.terms import associated_account

RPC_PORT: Final = 8899
LOOK_S: Final = 0.1
DAILY_CAP_BASE_UNITS: Final = 10_000_000 * 10**9
PATIENCE_S: Final = 60.0


class DemoError(TwzrdError):
    """The demo did not come to its end."""


@dataclass(frozen=True, slots=True)
class DemoChain:
    """settings: of the demo with the mint and the local node in them; part: the node."""

    settings: Settings
    mint: Pubkey
    part: Part

    @property
    def environment(self) -> dict[str, str]:
        """For every part."""
        return {
            "TWZRD_CLUSTER": self.settings.cluster,
            "TWZRD_RPC_URLS": self.settings.rpc_urls.reveal(),
            "TWZRD_MINT": self.settings.mint,
        }

    async def make_mint(self) -> None:
        """When the node answers; nothing where the mint is there already. Raises DemoError, TokenError."""
        url, loop = self.settings.rpc_urls.reveal(), asyncio.get_running_loop()
        until_s = loop.time() + PATIENCE_S
        while True:
            with contextlib.suppress(SolanaRpcException):
                async with AsyncClient(url) as client:
                    await client.get_slot()
                break
            if loop.time() > until_s:
                raise DemoError(f"the local chain did not answer within {PATIENCE_S:.0f} s; see the messages above")
            await asyncio.sleep(LOOK_S)
        await minting.create(self.settings, TokenNames("CHAT", "CHAT"), self.settings.mint_key_path, freeze=False)

    async def put_cap(self, dsn: str) -> None:
        """A bound for what the signer may sign for in a day, where none is set: so an operator begins, too."""
        async with databases.connected(dsn) as connection:
            if (await operate.switches(connection))["daily_cap_base_units"] is None:
                await operate.set_cap(connection, DAILY_CAP_BASE_UNITS)

    async def balance_base_units(self, wallet: Pubkey) -> int:
        """What the wallet holds, as the chain says it. Raises TokenError."""
        async with minting.node(self.settings) as client:
            with minting.told("getTokenAccountBalance"):
                answer = await client.get_token_account_balance(associated_account(wallet, self.mint))
                return int(answer.value.amount)


def prepare(settings: Settings) -> DemoChain:
    """Keys that are not there yet, and a free port. Raises DemoError where the settings are those of real claims."""
    if settings.mint or settings.cluster != "localnet":
        raise DemoError(
            "the demo pays simulated chat on a local chain of its own; unset TWZRD_MINT and TWZRD_CLUSTER, and give it "
            "a home of its own with --home"
        )
    for path, name in ((settings.fee_payer_path, "fee payer"), (settings.mint_authority_path, "mint authority")):
        keyfile.read_or_make(path, name)
    if settings.marker_secret_file is None:
        keys.init_marker_secret(settings.marker_secret_path)
    key, _ = keyfile.read_or_make(settings.mint_key_path, "mint")
    port = free_pair(RPC_PORT)
    changed = dataclasses.replace(
        settings, rpc_urls=Secret(f"http://127.0.0.1:{port}"), mint=str(key.pubkey()), cluster="localnet"
    )
    # Its figures for people, on standard output, are not the demo's.
    return DemoChain(changed, key.pubkey(), Part("localnet", ["localnet", "--port", str(port)], quiet=True))
