"""The original's way to pay claims, on the same chain: one at a time, each a transaction of its own: blockhash, sign,
send, poll until confirmed. RPC_URL HOME MINT COUNT."""

import asyncio
import secrets
import sys
import time
from pathlib import Path

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solana.rpc.models import TxOpts
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from streams.chain import keyfile, signing
from streams.chain.terms import Terms, build_message


async def main(url: str, home: Path, mint: Pubkey, count: int) -> None:
    """The same transaction as ours; what differs is how it goes to the chain."""
    payer = keyfile.read(home / "keys" / "fee-payer.json", "fee payer")
    authority = keyfile.read(home / "keys" / "mint-authority.json", "mint authority")
    async with AsyncClient(url, commitment=Confirmed) as client:
        lamports = (await client.get_minimum_balance_for_rent_exemption(0)).value
        start_s = time.perf_counter()
        for _ in range(count):
            terms = Terms(
                fee_payer=payer.pubkey(),
                server_fee_payer=payer.pubkey(),
                wallet=Keypair().pubkey(),
                mint=mint,
                authority=authority.pubkey(),
                source="mint",
                amount_base_units=8_000_000_000,
                marker_seed=secrets.token_hex(16),
                marker_lamports=lamports,
            )
            latest = (await client.get_latest_blockhash()).value
            message = build_message(terms, latest.blockhash)
            whole = signing.sign(signing.unsigned(message), payer, authority)
            signature = (await client.send_raw_transaction(whole, TxOpts(preflight_commitment=Confirmed))).value
            seen = await client.confirm_transaction(
                signature, Confirmed, last_valid_block_height=latest.last_valid_block_height
            )
            status = seen.value[0]
            if status is None or status.err is not None:
                raise SystemExit(f"{signature} came to {status}")
        print(f"RESULT taken_s={time.perf_counter() - start_s:.3f} claims={count}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), Pubkey.from_string(sys.argv[3]), int(sys.argv[4])))
