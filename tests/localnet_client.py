"""A client of the local cluster that speaks raw JSON, and the first steps that most tests begin with."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message

from streams.chain import mint, signing
from streams.chain.marker import PaidAllocation, marker_seed
from streams.chain.terms import Terms, build_message

SOL = 10**9
PROCESSED = {"commitment": "processed"}


@dataclass
class Client:
    """Calls of one node."""

    url: str
    session: aiohttp.ClientSession

    async def post(self, body: Any) -> Any:
        """The answer to any JSON; raises for a status of HTTP that is an error."""
        async with self.session.post(self.url, json=body) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def ask(self, method: str, *params: Any) -> Any:
        """The whole answer."""
        return await self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})

    async def get(self, method: str, *params: Any) -> Any:
        """The result; fails where there is none."""
        answer = await self.ask(method, *params)
        assert "error" not in answer, answer
        return answer["result"]

    async def error(self, method: str, *params: Any) -> dict[str, Any]:
        """The error; fails where there is none."""
        answer = await self.ask(method, *params)
        assert "result" not in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    async def blockhash(self, commitment: str = "processed") -> Hash:
        """The latest one."""
        latest = await self.get("getLatestBlockhash", {"commitment": commitment})
        return Hash.from_string(latest["value"]["blockhash"])

    async def signed(self, instructions: list[Instruction], *signers: Keypair) -> bytes:
        """A transaction of the newest blockhash; the first signer pays."""
        message = Message.new_with_blockhash(instructions, signers[0].pubkey(), await self.blockhash())
        return signing.sign(signing.unsigned(message), *signers)

    async def send(self, transaction: bytes, **config: Any) -> Any:
        """The whole answer to sendTransaction."""
        return await self.ask("sendTransaction", *sending(transaction, **config))

    async def status(self, signature: str) -> Any:
        """What getSignatureStatuses says of one, its history searched."""
        found = await self.get("getSignatureStatuses", [signature], {"searchTransactionHistory": True})
        return found["value"][0]


def sending(transaction: bytes, **config: Any) -> list[Any]:
    """Parameters of sendTransaction."""
    return [
        base64.b64encode(transaction).decode(),
        {"encoding": "base64", "preflightCommitment": "processed", **config},
    ]


@asynccontextmanager
async def client(url: str) -> AsyncIterator[Client]:
    """A client of that node."""
    async with aiohttp.ClientSession() as session:
        yield Client(url, session)


@dataclass
class Issuer:
    """A mint on the chain with those who pay from it."""

    client: Client
    payer: Keypair
    authority: Keypair
    mint: Keypair
    marker_lamports: int

    @classmethod
    async def make(cls, client: Client) -> "Issuer":
        """Fund a payer and make the mint."""
        payer, authority, key = Keypair(), Keypair(), Keypair()
        await client.get("requestAirdrop", str(payer.pubkey()), 1_000 * SOL)
        names = mint.TokenNames("Chat of tests", "CHAT", "https://chat.example/chat.json")
        rent = await client.get("getMinimumBalanceForRentExemption", mint.final_bytes(names))
        making = mint.create_mint(payer.pubkey(), key.pubkey(), authority.pubkey(), names, rent)
        answer = await client.send(await client.signed(making, payer, authority, key))
        assert "result" in answer, answer
        marker_lamports = await client.get("getMinimumBalanceForRentExemption", 0)
        return cls(client, payer, authority, key, marker_lamports)

    def terms(self, number: int, wallet: Keypair | None = None, **changed: Any) -> Terms:
        """A claim of 8 CHAT; its number is its only allocation's epoch."""
        seed = marker_seed(b"s" * 32, 7, [PaidAllocation("twitch:id:1", 3600 * number, 0)])
        given: dict[str, Any] = {
            "fee_payer": self.payer.pubkey(),
            "server_fee_payer": self.payer.pubkey(),
            "wallet": (wallet or Keypair()).pubkey(),
            "mint": self.mint.pubkey(),
            "authority": self.authority.pubkey(),
            "source": "mint",
            "amount_base_units": 8_000_000_000,
            "marker_seed": seed,
            "marker_lamports": self.marker_lamports,
        }
        return Terms(**{**given, **changed})

    async def paying(self, terms: Terms) -> bytes:
        """The claim's transaction, signed, with a new blockhash."""
        message = build_message(terms, await self.client.blockhash())
        return signing.sign(signing.unsigned(message), self.payer, self.authority)
