"""Named SQL of wallets: queries.sql beside this file is the only place where it stands."""

from pathlib import Path
from typing import Final

from streams.log.named_sql import named

sql: Final = named(Path(__file__).with_name("queries.sql"))
