"""Sign every viewer of a database in and bind a wallet to each, as SQL: DSN SESSION_KEY_FILE PUBLIC_URL OUT. A line of
OUT is `cookie csrf`."""

import asyncio
import secrets
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import asyncpg
from solders.keypair import Keypair

from claim_api.identity.cookies import cookie
from claim_api.identity.session_key import SECRET_BYTES, SessionKey, hash_of
from claim_api.wallets import siws
from infra.keys import init_session_key, read_session_keys
from streams.log.named_sql import load

QUERIES: Final = Path(__file__).with_name("prepare_claims.sql")
AT_ONCE: Final = 1_000
"""Wallets of one transaction: each binding holds a lock until its end, and the server has room for some thousands."""


async def main(dsn: str, session_key: Path, public_url: str, out: Path) -> None:
    """Real signatures: the signer verifies each of them."""
    init_session_key(session_key)
    key, sql = SessionKey(read_session_keys(session_key)), load(QUERIES)
    name, domain = cookie("twzrd-session", public_url).name, urlsplit(public_url).netloc
    connection = await asyncpg.connect(dsn)
    viewers = [row["viewer_key"] for row in await connection.fetch(sql["viewers"])]
    tokens = [secrets.token_bytes(SECRET_BYTES) for _ in viewers]
    wallets = [Keypair() for _ in viewers]
    messages = [_message(domain, public_url, wallet, viewer) for viewer, wallet in zip(viewers, wallets, strict=True)]
    await connection.execute(sql["put_users"], viewers)
    await connection.execute(sql["put_sessions"], [hash_of(one) for one in tokens], viewers)
    addresses = [str(one.pubkey()) for one in wallets]
    signed = [bytes(wallet.sign_message(message)) for wallet, message in zip(wallets, messages, strict=True)]
    for start in range(0, len(viewers), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        await connection.fetchval(sql["put_wallets"], viewers[some], addresses[some], messages[some], signed[some])
    await connection.execute("analyze")
    await connection.close()
    lines = "".join(f"{name}={key.sign(name, one)} {key.csrf_token(hash_of(one))}\n" for one in tokens)
    await asyncio.to_thread(out.write_text, lines)
    print(f"RESULT viewers={len(viewers)}")


def _message(domain: str, public_url: str, wallet: Keypair, viewer: int) -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    said = siws.SignIn(
        domain=domain,
        address=str(wallet.pubkey()),
        uri=public_url,
        chain_id="localnet",
        nonce=secrets.token_hex(16),
        issued_at=now,
        expiration_time=now + timedelta(seconds=siws.LIFE_S),
        identity=f"twitch:id:{viewer}",
    )
    return siws.build(said).encode()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])))
