"""How the Postgres log comes to its database: addresses that are none, defaults of the database it must not take."""

import asyncio

import pytest

from schemas.streams import CHAT_EVENTS
from streams.log.port import Append, LogAway, LogError
from streams.log.postgres import PostgresLog
from tests.conformance.streams.log.postgres_storage import PostgresStorage

pytestmark = pytest.mark.postgres


async def test_a_database_that_serialises_by_default_takes_concurrent_writers_all_the_same(
    postgres: PostgresStorage,
) -> None:
    connection = await postgres.connect()
    name = await connection.fetchval("select current_database()")
    await connection.execute(f"alter database {name} set default_transaction_isolation = 'serializable'")
    await connection.close()
    logs = [postgres.client() for _ in range(4)]
    for log in logs:
        await log.open()

    async def write(log: PostgresLog) -> None:
        for _ in range(20):
            await log.append(CHAT_EVENTS, [Append(partition, b"k", b"v") for partition in range(4)])

    try:
        await asyncio.gather(*(write(log) for log in logs))
        assert [await logs[0].span(CHAT_EVENTS, partition) for partition in range(4)] == [(0, 80)] * 4
    finally:
        for log in logs:
            await log.close()


@pytest.mark.parametrize(
    "address", ["localhost:5432", "postgresql://u:secret@h:port/db", "postgresql://u:se/cret@h/db", "http://h/db"]
)
async def test_an_address_that_cannot_be_used_is_refused_and_not_waited_for(address: str) -> None:
    with pytest.raises(LogError, match="cannot be used") as refused:
        await PostgresLog(address).open()
    assert not isinstance(refused.value, LogAway)
    assert "secret" not in str(refused.value) and "se/cret" not in str(refused.value)
