"""The projection "control": opt-outs and audience sizes, from the stream `control`.

In: its records. Out: suppression_list (who is opted out now), suppression_log (every change) and viewer_snapshots. The
stream is compacted, so only suppression_list can be built again from it; the other two only grow, each record under a
key of its own, and a rebuild leaves them alone. What collectors are told goes to them straight from the stream.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from projections.alarms import raise_alarm
from projections.port import Projection
from projections.snapshots import write_snapshots
from projections.source import Entry
from projections.sql import sql
from schemas import control
from schemas.errors import SchemaError
from streams.log.port import CONTROL, LogRecord


class ControlProjection(Projection):
    """See the module. Holds nothing in memory."""

    name: ClassVar[str] = "control"
    stream: ClassVar[str] = CONTROL
    version: ClassVar[int] = 1
    tables: ClassVar[tuple[str, ...]] = ("suppression_list",)

    async def apply(self, connection: Any, entries: Sequence[Entry]) -> None:
        snapshots: list[control.Snapshot] = []
        for entry in entries:
            assert isinstance(entry.item, LogRecord)
            try:
                record = control.decode(entry.item.value)
            except SchemaError as error:
                where = f"{CONTROL}/{entry.partition}/{entry.offset}"
                detail = {"reason": str(error), "length": len(entry.item.value)}
                await raise_alarm(connection, "undecodable_record", where, detail)
                continue
            if isinstance(record, control.Snapshot):
                snapshots.append(record)
            elif isinstance(record, control.OptOut | control.OptIn):
                await _suppression(connection, record, entry.offset)
        if snapshots:
            await write_snapshots(connection, snapshots)


async def _suppression(connection: Any, record: control.OptOut | control.OptIn, offset: int) -> None:
    suppressed = isinstance(record, control.OptOut)
    if suppressed:
        await connection.execute(sql("suppress"), record.viewer, record.at_ms, record.by, record.note, offset)
    else:
        await connection.execute(sql("unsuppress"), record.viewer)
    await connection.execute(
        sql("log_suppression"), offset, record.viewer, suppressed, record.at_ms, record.by, record.note
    )
