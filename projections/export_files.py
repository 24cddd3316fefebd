"""Arrow tables of an export, written out as CSV, JSON lines or Parquet, table by table.

In: the tables of projections.export. Out: bytes in a binary file object (Parquet needs no seeking either). 64-bit
integers stay numbers, in JSON too, as orjson writes them (exact); a column that holds JSON text is put into JSON lines
as what it is.
"""

from collections.abc import AsyncIterator
from typing import IO, Any, Final, Literal

import orjson
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: Final[tuple[Format, ...]] = ("csv", "jsonl", "parquet")


async def write(tables: AsyncIterator[Any], fields: Any, form: Format, out: IO[bytes]) -> int:
    """Write all tables (of the schema `fields`); returns the number of rows. CSV has a header line; an export without
    rows still makes a file that can be read."""
    rows = 0
    if form == "jsonl":
        nested = [field.name for field in fields if (field.metadata or {}).get(b"holds") == b"json"]
        async for table in tables:
            rows += table.num_rows
            out.writelines(_json_line(row, nested) for row in table.to_pylist())
        return rows
    # The sink is closed with the writer; the caller's file object is not ours to close.
    with pa.PythonFile(_Unclosed(out), mode="w") as sink, _writer(form, sink, fields) as writer:
        async for table in tables:
            rows += table.num_rows
            writer.write_table(table)
    return rows


def _json_line(row: dict[str, Any], nested: list[str]) -> bytes:
    for name in nested:
        row[name] = orjson.Fragment(row[name])
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def _writer(form: Format, sink: Any, fields: Any) -> Any:
    if form == "csv":
        return pyarrow.csv.CSVWriter(sink, fields)
    return pyarrow.parquet.ParquetWriter(sink, fields, compression="zstd")


class _Unclosed:
    """A file object whose close does nothing but flush."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self.closed = False

    def write(self, data: Any) -> int:
        return self._out.write(bytes(data))

    def flush(self) -> None:
        self._out.flush()

    def close(self) -> None:
        self._out.flush()
        self.closed = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False
