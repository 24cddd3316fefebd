"""Puts tables of another schema in the place of those of the same names in `public`, views over them included.

Stands at the end of a rebuild, inside its transaction. A view holds on to the very table it was made over, so those
that rest on the old tables are dropped and made again, word for word, over the new ones. Indexes and constraints go
with their tables. Rights granted on the old tables and views, of a whole one or of single columns, are granted on the
new ones: the web, payer and signer processes read them as roles of their own.
"""

from collections.abc import Sequence
from typing import Any

from projections.sql import sql


async def swap_tables(connection: Any, tables: Sequence[str], schema: str) -> None:
    """public.t becomes schema.t for each of the tables; the old ones are dropped. Table names are the projection's own
    constants, never input. The search path is `public` afterwards, until the transaction ends."""
    # Definitions come out unqualified, and so find the new tables when they are run again.
    await connection.execute("set local search_path to public")
    views = await connection.fetch(sql("views_over"), list(tables))
    grants = await connection.fetch(sql("rights_on"), [*tables, *(view["name"] for view in views)])
    for view in reversed(views):
        await connection.execute(f"drop view {view['name']}")
    for table in tables:
        await connection.execute(f"drop table public.{table}")
        await connection.execute(f"alter table {schema}.{table} set schema public")
    for view in views:
        await connection.execute(f"create view {view['name']} as {view['definition']}")
    for grant in grants:
        await connection.execute(f"grant {grant['what']} on {grant['name']} to {grant['grantee']}{grant['option']}")
