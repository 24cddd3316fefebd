"""Named SQL of the signer: claim_api/signer/queries.sql is the only place where its statements stand."""

from pathlib import Path
from typing import Final

from streams.log.named_sql import named

sql: Final = named(Path(__file__).with_name("queries.sql"))
