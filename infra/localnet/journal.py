"""Everything that changed the chain, on disk, in order: run again from the start, it gives the same chain.

In: records. Out: the same records after a SIGKILL. A record is written before its transaction is answered for, and
synced by a thread that takes all that came meanwhile in one go. A torn end (power, not SIGKILL) is cut off; damage
before the end is an error.

    file    = header line, then records
    record  = u32le length of the rest | first 8 bytes of blake3(body) | body (msgpack array, first item = kind)
"""

import asyncio
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

import msgspec
from blake3 import blake3

from infra.localnet.errors import LocalnetError

HEADER: Final = b"twzrd localnet journal 1\n"
_FRAME: Final = struct.Struct("<I8s")
MAX_RECORD_BYTES: Final = 64 * 1024


class Genesis(msgspec.Struct, frozen=True, array_like=True, tag="genesis"):
    """First record: what the blockhashes are made from, and which LiteSVM wrote it."""

    seed: bytes
    solders: str


class Anchored(msgspec.Struct, frozen=True, array_like=True, tag="anchor"):
    """A start, a thaw, or a step by hand."""

    slot: int
    at_ms: int
    slot_ms: int


class Landed(msgspec.Struct, frozen=True, array_like=True, tag="landed"):
    """A transaction that landed; err: JSON of its error, empty where it has none. A replay must come to the same."""

    slot: int
    at_s: int
    transaction: bytes
    err: bytes


Record = Genesis | Anchored | Landed
_DECODER: Final = msgspec.msgpack.Decoder(Record)
_ENCODER: Final = msgspec.msgpack.Encoder()


class Journal:
    """The file. `sync` says how durable: "disk" waits for the disk, "process" survives a kill only."""

    def __init__(self, path: Path, *, max_bytes: int, sync: Literal["disk", "process"] = "disk") -> None:
        self.path, self.max_bytes, self._sync = path, max_bytes, sync
        self.cut_bytes = 0
        self.syncs_total = 0
        self._descriptor = -1
        self._syncing: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self.size_bytes = 0

    def open(self) -> Iterator[Record]:
        """Every record there is; the file is open for more when all are taken. Raises LocalnetError."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._lock()
            if os.fstat(self._descriptor).st_size < len(HEADER):
                os.ftruncate(self._descriptor, 0)
                os.write(self._descriptor, HEADER)
        except OSError as error:
            raise LocalnetError(f"cannot open {self.path}: {error.strerror}; choose another --dir") from error
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            if (header := file.readline(64)) != HEADER:
                raise LocalnetError(f"{self.path} begins with {header[:24]!r}; it is no journal of ours: another --dir")
            end = file.tell()
            size = os.fstat(self._descriptor).st_size
            while True:
                frame = file.read(_FRAME.size)
                if len(frame) < _FRAME.size:
                    break
                length, digest = _FRAME.unpack(frame)
                body = file.read(length) if length <= MAX_RECORD_BYTES else b""
                if len(body) != length or blake3(body).digest()[:8] != digest:
                    reaches_end = end + _FRAME.size + length >= size
                    if reaches_end and size - end <= _FRAME.size + MAX_RECORD_BYTES:
                        break
                    raise LocalnetError(f"{self.path} is damaged at byte {end}; move the folder away to start anew")
                yield _DECODER.decode(body)
                end = file.tell()
        self.cut_bytes = size - end
        os.ftruncate(self._descriptor, end)
        self.size_bytes = end

    def _lock(self) -> None:
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalnetError(f"{self.path} is in use by another localnet; choose another --dir") from None

    @property
    def full(self) -> bool:
        """Whether another record might not fit."""
        return self.size_bytes + MAX_RECORD_BYTES > self.max_bytes

    def write(self, record: Record) -> None:
        """Hand a record to the operating system: a SIGKILL from now on does not lose it."""
        body = _ENCODER.encode(record)
        framed = _FRAME.pack(len(body), blake3(body).digest()[:8]) + body
        try:
            written = os.write(self._descriptor, framed)
        except OSError as error:
            raise self._broken(error.strerror or "") from error
        if written != len(framed):
            raise self._broken(f"{written} of {len(framed)} bytes written")
        self.size_bytes += written

    def _broken(self, why: str) -> LocalnetError:
        """A record is not whole on the disk: it is taken away again, and no more are taken."""
        self.max_bytes = 0
        with suppress(OSError):  # what is left of it is a torn end
            os.ftruncate(self._descriptor, self.size_bytes)
        return LocalnetError(f"cannot write {self.path}: {why}; is the disk full? Nothing lands any more")

    async def synced(self) -> None:
        """Wait until all that was written before this call is on the disk; many callers share one sync."""
        if self._sync == "process":
            return
        if self._syncing is None:
            self._syncing = asyncio.ensure_future(self._fsync())
            await asyncio.shield(self._syncing)
            return
        # The one under way may have begun before our write: the next one covers it.
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._fsync_after(self._syncing))
        await asyncio.shield(self._waiting)

    async def _fsync(self) -> None:
        self.syncs_total += 1
        try:
            await asyncio.get_running_loop().run_in_executor(None, os.fdatasync, self._descriptor)
        finally:
            self._syncing = None

    async def _fsync_after(self, before: "asyncio.Future[None]") -> None:
        await asyncio.wait([before])
        self._syncing, self._waiting = self._waiting, None
        await self._fsync()

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
