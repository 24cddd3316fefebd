"""Gives attempts to the nodes, many at once, and notes it. What a node says against one decides nothing: it may land
by another, so it stays open until the chain itself has spoken."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from claim_api.chain.port import Chain, ChainAway
from claim_api.ledger.moves import Moves, NewAttempt, OpenAttempt
from claim_api.ledger.steps import Crash, Step
from claim_api.payer.metrics import PayerMetrics

_log: Final = logging.getLogger(__name__)


class Sending:
    """at_once: sends under way."""

    def __init__(self, moves: Moves, chain: Chain, metrics: PayerMetrics, at_once: int, crash: Crash) -> None:
        self._moves, self._chain, self._metrics, self._crash = moves, chain, metrics, crash
        self._room = asyncio.Semaphore(at_once)
        self._under_way: set[tuple[int, int]] = set()
        """Being sent this moment: the watch, which sees them as never sent, passes them over."""

    async def send(self, attempts: Sequence[NewAttempt | OpenAttempt], *, again: bool) -> None:
        """Each to every node. Actions are the viewer's to send and are passed over. A node that is away costs nothing
        but the next round."""
        to_send = [one for one in attempts if one.signature is not None and one.key not in self._under_way]
        if not to_send:
            return
        keys = {one.key for one in to_send}
        self._under_way |= keys
        try:
            errors = await asyncio.gather(*(self._one(one) for one in to_send))
            self._crash(Step.SENT)
            await self._moves.note_sent(list(zip(to_send, errors, strict=True)))
        finally:
            self._under_way -= keys
        self._metrics.count("resends" if again else "sent", len(to_send))
        self._crash(Step.NOTED)

    async def _one(self, one: NewAttempt | OpenAttempt) -> str | None:
        async with self._room:
            try:
                refusal = await self._chain.send(one.transaction)
            except ChainAway as error:
                return str(error)
        if refusal is not None:
            _log.warning("claim %d, attempt %d: no node took it: %s", one.claim_id, one.attempt, refusal)
        return refusal
