"""One client's socket with TLS on it, held so close that it can misbehave at any byte. Below `session`.

TLS is done here over a plain transport (asyncio's own TLS transports cannot half-close, do not say how much of what was
written left the process, and join records): in: plain bytes to send; out: plain bytes received.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Final

RECORD_BYTES: Final = 16 * 1024
"""Most plain bytes of one TLS record (RFC 8446 section 5.1)."""
LOW_WATER_BYTES: Final = 256 * 1024
HIGH_WATER_BYTES: Final = 1024 * 1024
"""Where a fast feed waits for a client to read."""


class Wire(asyncio.Protocol):
    """asyncio makes one for each client. on_open, on_bytes(data) and on_end() are called in the event loop."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._transport: Any = None
        self._open = self._half_closed = False
        self._writable = asyncio.Event()
        self._writable.set()
        self._cipher_bytes = 0
        self._marks: deque[tuple[int, int]] = deque()
        self._flushed = 0
        self.plain_bytes = 0
        """Plain bytes handed to TLS so far."""
        self.ended = False
        self.on_open: Callable[[], None] = lambda: None
        self.on_bytes: Callable[[bytes], None] = lambda data: None
        self.on_end: Callable[[], None] = lambda: None

    # ---- sending -------------------------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and write; nothing is sent once the connection has ended."""
        if not self._open or self._half_closed or self.ended or self._transport.is_closing():
            return
        view = memoryview(data)
        for start in range(0, len(view), RECORD_BYTES):
            self._tls.write(view[start : start + RECORD_BYTES])
        self.plain_bytes += len(view)
        self._pump()

    @property
    def flushed_bytes(self) -> int:
        """Plain bytes of `plain_bytes` that were wholly handed to the kernel."""
        if not self.ended and self._transport is not None:
            left = self._cipher_bytes - self._transport.get_write_buffer_size()
            while self._marks and self._marks[0][0] <= left:
                self._flushed = self._marks.popleft()[1]
        return self._flushed

    @property
    def waiting_bytes(self) -> int:
        """Bytes (encrypted) written that the kernel has not taken yet."""
        return 0 if self._transport is None or self.ended else int(self._transport.get_write_buffer_size())

    @property
    def ending(self) -> bool:
        """Nothing more will be sent."""
        return self.ended or self._transport is None or bool(self._transport.is_closing())

    async def drained(self) -> None:
        """Until the client has read enough that more may be written, or the connection has ended."""
        await self._writable.wait()

    # ---- ending --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End as a well-behaved server: what was written goes out, then close_notify and FIN."""
        if self._open and not self._half_closed and not self.ended:
            self._notify_close()
        if self._transport is not None:
            self._transport.close()

    def cut(self) -> None:
        """End at once, with what was written and not yet taken by the kernel lost."""
        if self._transport is not None and not self.ended:
            _ = self.flushed_bytes
            self._transport.abort()

    def half_close(self) -> None:
        """FIN without close_notify: nothing more is sent, what comes is still read."""
        if self._transport is not None and not self._transport.is_closing():
            self._half_closed = True
            self._transport.write_eof()

    def _notify_close(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # the client's own close_notify has not come yet, and need not
            self._tls.unwrap()
        self._pump()

    # ---- asyncio's side ------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._transport.set_write_buffer_limits(HIGH_WATER_BYTES, LOW_WATER_BYTES)

    def data_received(self, data: bytes) -> None:
        if self._half_closed:
            return
        self._incoming.write(data)
        try:
            if not self._open:
                self._shake_hands()
            received = bytearray()
            try:
                while piece := self._tls.read(65_536):
                    received += piece
            finally:
                if received:
                    self.on_bytes(bytes(received))
            self.close()  # the client said close_notify
        except ssl.SSLWantReadError:
            self._pump()
        except ssl.SSLError:
            self._pump()  # the alert that tells why
            self._transport.close()

    def _shake_hands(self) -> None:
        self._tls.do_handshake()
        self._open = True
        self._pump()
        self.on_open()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True
        self._open = self._half_closed = False
        self._writable.set()
        self.on_end()

    def _pump(self) -> None:
        data = self._outgoing.read()
        if not data or self._half_closed or self._transport.is_closing():
            return
        self._cipher_bytes += len(data)
        self._marks.append((self._cipher_bytes, self.plain_bytes))
        self._transport.write(data)
        _ = self.flushed_bytes
