"""Bytes of a file, unpacked on the way: plain, gzip (isal) or zstd, told apart by their first bytes. Before `lines`.

In: a binary stream. Out: `read(size)` of plain bytes. Data that ends early or is damaged is no exception: reading ends
there and `fault` says why, so that all before it is used.
"""

from collections.abc import Iterator
from typing import BinaryIO, Final

import zstandard
from isal import igzip_lib, isal_zlib

GZIP_MAGIC: Final = b"\x1f\x8b"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPED_MAGIC: Final = b"\x2a\x4d\x18"
"""After a first byte of 0x50 .. 0x5f."""
_GZIP_INPUT_BYTES: Final = 16 * 1024
_GZIP_OUTPUT_BYTES: Final = 64 * 1024
"""What one call gives back; as much may be lost before a damaged place, and says so in `fault`."""
_ZSTD_INPUT_BYTES: Final = 4 * 1024
"""A zstd block of 4 bytes may hold 128 KiB: 4 KiB of input make at most 128 MiB."""
_ZSTD_MAX_WINDOW_BYTES: Final = 128 * 1024 * 1024

_TOO_WIDE: Final = (
    f"zstd data wants a window of over {_ZSTD_MAX_WINDOW_BYTES >> 20} MiB; pack the file again without --long"
)


def _starts_frame(data: bytes) -> bool:
    """Whether these bytes begin a zstd frame, or one to be skipped (RFC 8878, 3.1.2), as pzstd writes them."""
    return data.startswith(ZSTD_MAGIC) or (data[1:4] == ZSTD_SKIPPED_MAGIC and 0x50 <= data[0] <= 0x5F)


class Unpacked:
    """Plain bytes of one input. bytes_read counts what was taken from the (packed) input, for progress."""

    def __init__(self, raw: BinaryIO) -> None:
        self.bytes_read = 0
        self.fault: str | None = None
        self._raw = raw
        head = self._take(len(ZSTD_MAGIC))
        while head and len(head) < len(ZSTD_MAGIC) and (more := self._take(len(ZSTD_MAGIC) - len(head))):
            head += more
        self._rest = bytearray()
        if head.startswith(GZIP_MAGIC):
            self.packing: str | None = "gzip"
            self._pieces = self._gunzip(head)
        elif _starts_frame(head):
            self.packing = "zstd"
            self._pieces = self._unzstd(head)
        else:
            self.packing = None
            self._rest += head
            self._pieces = iter(())

    def read(self, size: int) -> bytes:
        """size bytes, fewer only where the input, or what can be read of it, ends. Raises OSError of the stream."""
        if self.packing is None and not self._rest:
            return self._take(size)
        while len(self._rest) < size:
            piece = next(self._pieces, b"") if self.packing else self._take(size)
            if not piece:
                break
            self._rest += piece
        out = bytes(memoryview(self._rest)[:size])
        del self._rest[:size]
        return out

    def _take(self, size: int) -> bytes:
        data = self._raw.read(size)
        self.bytes_read += len(data)
        return data

    def _gunzip(self, data: bytes) -> Iterator[bytes]:
        while data:
            member = isal_zlib.decompressobj(wbits=31)
            ended = False
            while not member.eof and not ended:
                data = data or self._take(_GZIP_INPUT_BYTES)
                ended = not data
                try:
                    out = member.decompress(data, _GZIP_OUTPUT_BYTES)
                    while out:
                        yield out
                        out = member.decompress(member.unconsumed_tail, _GZIP_OUTPUT_BYTES) if not member.eof else b""
                except igzip_lib.IsalError:  # type: ignore[misc]  # isal's stub types the class as an instance
                    self.fault = f"gzip data is damaged: the last {_GZIP_OUTPUT_BYTES} bytes before this may lack too"
                    return
                data = member.unconsumed_tail
            if not member.eof:
                self.fault = "gzip data ends early"
                return
            # Further members may follow, and zeros as padding.
            data = member.unused_data
            while not (data := data.lstrip(b"\0")) and (data := self._take(_GZIP_INPUT_BYTES)):
                pass
            if len(data) == 1:
                data += self._take(1)
            if data and not data.startswith(GZIP_MAGIC):
                self.fault = "something that is not gzip follows the gzip data"
                return

    def _unzstd(self, data: bytes) -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_MAX_WINDOW_BYTES)
        while data:
            frame = decompressor.decompressobj()
            while not frame.eof:
                data = data or self._take(_ZSTD_INPUT_BYTES)
                if not data:
                    self.fault = "zstd data ends early"
                    return
                try:
                    out = frame.decompress(data)
                except zstandard.ZstdError as error:
                    # python-zstandard tells these apart by their text alone.
                    too_wide = "too much memory" in str(error)
                    self.fault = _TOO_WIDE if too_wide else "zstd data is damaged"
                    return
                data = b""
                if out:
                    yield out
            data = frame.unused_data or self._take(_ZSTD_INPUT_BYTES)
            while 0 < len(data) < len(ZSTD_MAGIC) and (more := self._take(len(ZSTD_MAGIC) - len(data))):
                data += more
            if data and not _starts_frame(data) and not ZSTD_MAGIC.startswith(data):
                self.fault = "something that is not zstd follows the zstd data"
                return
