"""Fill a database with a season of hours and with signed-in viewers: DSN HOURS VIEWERS SIGNED_IN KEY_FILE. Prints the
value of each session's cookie, one a line."""

import asyncio
import secrets
import sys
from pathlib import Path

import asyncpg

from claim_api.identity.session_key import SECRET_BYTES, SessionKey, hash_of
from infra import databases, keys
from streams.log.named_sql import load

COOKIE = "twzrd-session"


async def main(dsn: str, hours: int, viewers: int, signed_in: int, key_file: Path) -> None:
    """All of it, then analysed, as a database is that has run for a while."""
    await databases.migrate(dsn)
    sql, key = load(Path(__file__).with_suffix(".sql")), SessionKey(keys.read_session_keys(key_file))
    given = [secrets.token_bytes(SECRET_BYTES) for _ in range(signed_in)]
    connection = await asyncpg.connect(dsn)
    await connection.execute(sql["seals"], hours, viewers)
    await connection.execute(sql["channel"], hours)
    await connection.execute(sql["leaves"], hours, viewers)
    await connection.execute(sql["users"], signed_in)
    await connection.execute(sql["sessions"], [hash_of(secret) for secret in given])
    await connection.execute(sql["claims"])
    await connection.execute(sql["claimed"])
    await connection.execute("vacuum analyze")
    await connection.close()
    print("\n".join(key.sign(COOKIE, secret) for secret in given))


if __name__ == "__main__":
    given_hours, given_viewers, given_sessions = map(int, sys.argv[2:5])
    asyncio.run(main(sys.argv[1], given_hours, given_viewers, given_sessions, Path(sys.argv[5])))
