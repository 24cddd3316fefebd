"""Everything that a run of the system wrote, as bytes that can be searched: log, tables, files, output of processes."""

import gzip
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
import orjson
import pyarrow.parquet as pq
import zstandard

from infra.catting import record_json
from streams.log.port import CHAT_EVENTS, EPOCH_SEALED, Log

PARTITIONS = 2
MANY = 100_000


class Found(NamedTuple):
    """Where a trace was found, and of what."""

    place: str
    trace: str


async def of_stream(log: Log, stream: str) -> bytes:
    """All its records: keys and values as they are, and once more taken apart."""
    out = bytearray()
    for partition in range(PARTITIONS if stream in (CHAT_EVENTS, EPOCH_SEALED) else 1):
        for record in await log.read(stream, partition, 0, max_records=MANY, max_bytes=1 << 30):
            out += record.key + b"\n" + record.value + b"\n"
            out += orjson.dumps(msgspec.to_builtins(record_json(stream, partition, record))) + b"\n"
    return bytes(out)


async def of_table(dsn: str, table: str) -> bytes:
    """All its rows as text; bytea as hex."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(f"select t::text as row from {table} t")
    finally:
        await connection.close()
    return "\n".join(row["row"] for row in rows).encode()


def of_folder(folder: Path) -> bytes:
    """All files below it: their names, their bytes, and what those are when unpacked."""
    return b"\n".join(piece for path in sorted(folder.rglob("*")) if path.is_file() for piece in _of_file(path))


def _of_file(path: Path) -> Iterator[bytes]:
    yield str(path).encode()
    data = path.read_bytes()
    yield data
    if path.suffix == ".gz":
        yield gzip.decompress(data)
    elif path.suffix == ".zst":
        yield zstandard.ZstdDecompressor().decompressobj().decompress(data)
    elif path.suffix == ".parquet":
        for row in pq.read_table(path).to_pylist():
            for value in row.values():
                yield value if isinstance(value, bytes) else str(value).encode()


def traces(where: dict[str, bytes], words: list[str], ids: list[uuid.UUID]) -> list[Found]:
    """Every word (in any case, and as hex) and event id (raw, as hex, as a UUID) that stands in any of the places."""
    found = []
    for place, data in where.items():
        low = data.lower()
        for word in words:
            plain = word.lower().encode()
            if plain in low or plain.hex().encode() in low:
                found.append(Found(place, word))
        for one in ids:
            if one.bytes in data or one.hex.encode() in low or str(one).encode() in low:
                found.append(Found(place, f"event {one}"))
    return found
