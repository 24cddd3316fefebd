"""The signer around its socket: frames in, frames out; and the client that the payer holds.

In: a Signer, the path of the socket. Whoever may open the socket may ask, so its folder is 0700, it is 0600, and the
kernel must say that the asker is of our own user.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

import msgspec
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from claim_api.signer import protocol
from claim_api.signer.protocol import Answer, Code, Question, Refused
from claim_api.signer.service import Signer
from claim_api.unix_socket import SocketBounds, SocketError, ask, serving

BOUNDS: Final = SocketBounds(frame_bytes=256 * 1024, connections=16, requests_per_s=100.0, burst=100)
"""A batch of 128 answers is 180 KiB."""


class SignerPort(Protocol):
    """Who signs, as the payer sees it."""

    async def ask(self, question: Question) -> list[Answer]:
        """Raises claim_api.unix_socket.SocketError where nobody answers."""


class SignerClient:
    """SignerPort over the socket."""

    def __init__(self, path: Path, bounds: SocketBounds = BOUNDS) -> None:
        self._path, self._bounds = path, bounds

    async def ask(self, question: Question) -> list[Answer]:
        answer = await ask(self._path, protocol.encode(question), self._bounds)
        try:
            return protocol.answers_of(answer)
        except msgspec.MsgspecError as error:
            raise SocketError(f"the answer on {self._path} is none of the signer's: {error}") from error


class SignerCounts(Collector):
    """What the signer counts, for Prometheus."""

    def __init__(self, signer: Signer, refused: Counter[str]) -> None:
        self._signer, self._refused = signer, refused

    def collect(self) -> "list[Metric]":
        """twzrd_signer_answers_total{what} and twzrd_signer_socket_refused_total{bound}."""
        answers = CounterMetricFamily("twzrd_signer_answers", "What the signer answered", labels=["what"])
        for what, count in sorted(self._signer.counts.items()):
            answers.add_metric([what], count)
        refused = CounterMetricFamily("twzrd_signer_socket_refused", "Frames and peers let go", labels=["bound"])
        for bound, count in sorted(self._refused.items()):
            refused.add_metric([bound], count)
        return [answers, refused]


@contextlib.asynccontextmanager
async def serving_signer(
    signer: Signer, path: Path, refused: Counter[str], bounds: SocketBounds = BOUNDS
) -> AsyncIterator[None]:
    """Answers while the block runs. Raises SocketError."""

    async def handle(frame: bytes) -> bytes:
        try:
            question = protocol.question_of(frame)
        except msgspec.MsgspecError as error:
            signer.counts[f"refused_{Code.MALFORMED}"] += 1
            return protocol.encode([Refused(0, Code.MALFORMED, f"this is no question: {error}"[:300])])
        return protocol.encode(await signer.answer(question))

    async with serving(path, handle, bounds, refused):
        yield
