"""Whether our pepper is the one that the log's seals were made with: looked at before a worker seals anything.

In: an open log, a pepper. Out: nothing, or PepperUnfit. A pepper that was lost, or another machine's, would give every
viewer other refs from then on, and nobody could join the two again.
"""

from pathlib import Path
from typing import Final

from schemas.errors import SchemaError, TwzrdError
from schemas.seal import decode_header, pepper_commit
from schemas.sealed import Seal, decode_record
from streams.log.port import EPOCH_SEALED, Log
from streams.runner.driver import read_through

FIRST_LOOK_RECORDS: Final = 64
"""How far back from its end a partition is read at first; twice as far each time that no seal lies there."""


class PepperUnfit(TwzrdError):
    """Seals of this log were made with another pepper."""


async def check(log: Log, pepper: bytes, path: Path) -> None:
    """path: of the pepper, for the error. A log without a seal takes any. Raises PepperUnfit, LogError."""
    ours = pepper_commit(pepper)
    for partition in range(await log.partitions(EPOCH_SEALED)):
        theirs = await _newest_commit(log, partition)
        if theirs == ours:
            return
        if theirs is not None:
            raise PepperUnfit(
                f"the seals of this log were made with another pepper (commit {theirs.hex()}) than the one in {path} "
                f"(commit {ours.hex()}); nothing was sealed: put the first one there, from its backup or from the "
                "machine that has it"
            )


async def _newest_commit(log: Log, partition: int) -> bytes | None:
    """What the partition's newest seal says of its pepper; None where there is none that we can read."""
    first, until = await log.span(EPOCH_SEALED, partition)
    step = FIRST_LOOK_RECORDS
    while until > first:
        start, found = max(first, until - step), None
        async for batch in read_through(log, EPOCH_SEALED, partition, start, until):
            for record in batch:
                try:
                    said = decode_record(record.value)
                    found = decode_header(said.header).pepper_commit if isinstance(said, Seal) else found
                except SchemaError:
                    continue  # whoever takes the partition over names it
        if found is not None:
            return found
        until, step = start, step * 2
    return None
