"""Named SQL of the eligibility: claim_api/eligibility/queries.sql is the only place where its statements stand."""

from functools import cache
from pathlib import Path
from typing import Final

from streams.log.named_sql import load

QUERIES: Final = Path(__file__).with_name("queries.sql")


@cache
def _statements() -> dict[str, str]:
    return load(QUERIES)


def sql(name: str) -> str:
    """The statement of that name; KeyError (a programming error) where there is none."""
    return _statements()[name]
