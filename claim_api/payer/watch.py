"""Attempts that may land: their fate is learnt, or the same bytes go out again. docs/claims.md, Ledger, 4 to 6.

In: open attempts of the ledger, the chain. Out: confirmed, failed, expired or held. An attempt is given up only after
two looks at all nodes, some slots apart, that both find it dead; all else that is unclear stays open.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from claim_api.chain.port import MAX_ACCOUNTS, MAX_STATUSES, Chain, Finding, Status, Subject
from claim_api.ledger.moves import Landed, Moves, OpenAttempt
from claim_api.ledger.steps import Crash, Step, no_crash
from claim_api.payer.backoff import Waits
from claim_api.payer.chain_errors import is_marker_in_use, is_of_time
from claim_api.payer.config import Pace
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.sending import Sending
from claim_api.payer.settle import Settling

_log: Final = logging.getLogger(__name__)


class Watch:
    """One step looks once at everything under way."""

    def __init__(
        self,
        moves: Moves,
        chain: Chain,
        sending: Sending,
        settling: Settling,
        metrics: PayerMetrics,
        waits: Waits,
        pace: Pace,
        crash: Crash = no_crash,
    ) -> None:
        self._moves, self._chain, self._sending, self._settling = moves, chain, sending, settling
        self._metrics, self._waits, self._pace, self._crash = metrics, waits, pace, crash
        self._hopeless_at_slot: OrderedDict[tuple[int, int], int] = OrderedDict()
        """First looks that found an attempt dead, or its marker taken; in memory: a new process looks twice again."""
        self._looked_at_s = float("-inf")

    async def step(self) -> int:
        """How many attempts are open. Raises ChainAway and asyncpg's errors; then the rest waits for the next step."""
        now_s = asyncio.get_running_loop().time()
        may_look = now_s - self._looked_at_s >= self._pace.look_every_s
        if may_look:
            self._looked_at_s = now_s
        count, after = 0, 0
        while attempts := await self._moves.open_attempts(after, MAX_STATUSES):
            count, after = count + len(attempts), attempts[-1].claim_id
            await self._round(attempts, may_look)
            if len(attempts) < MAX_STATUSES:
                break
        return count

    async def _round(self, attempts: Sequence[OpenAttempt], may_look: bool) -> None:
        statuses = await self._statuses(attempts, history=False)
        open_ = await self._decide(attempts, statuses)
        unseen = [one for one in open_ if one.key not in statuses]
        due = [one for one in unseen if one.since_sent_s is None or one.since_sent_s >= self._pace.resend_s]
        for again in (False, True):
            await self._sending.send([one for one in due if (one.sends > 0) is again], again=again)
        late = [one for one in unseen if one.age_s >= self._pace.late_s or one.signature is None]
        if late and may_look:
            statuses = await self._statuses(late, history=True)
            lost = [one for one in await self._decide(late, statuses) if one.key not in statuses]
            for start in range(0, len(lost), MAX_ACCOUNTS):
                await self._look(lost[start : start + MAX_ACCOUNTS])

    async def _statuses(self, attempts: Sequence[OpenAttempt], *, history: bool) -> dict[tuple[int, int], Status]:
        named = [one for one in attempts if one.signature is not None]
        if not named:
            return {}
        found = await self._chain.statuses([one.signature or "" for one in named], history=history)
        return {one.key: status for one, status in zip(named, found, strict=True) if status is not None}

    async def _decide(
        self, attempts: Sequence[OpenAttempt], statuses: dict[tuple[int, int], Status]
    ) -> list[OpenAttempt]:
        """Confirms and fails what is final; the rest is still open."""
        landed, failed, still_open = [], [], []
        for one in attempts:
            status = statuses.get(one.key)
            if status is None or not status.final:
                still_open.append(one)
            elif status.error is None:
                landed.append(Landed(one.claim_id, one.attempt, one.signature or "", status.slot))
            else:
                failed.append((one, status.error))
        if landed:
            self._crash(Step.SEEN)
            for claim_id, took_s in (await self._moves.confirm(landed)).items():
                self._metrics.count("confirmed")
                self._metrics.lag_s.observe(took_s)
                self._waits.forget(claim_id)
            self._crash(Step.CONFIRMED)
        for one, error in failed:
            await self._failed(one, error)
        return still_open

    async def _failed(self, one: OpenAttempt, error: str) -> None:
        because: str | None = None
        if is_marker_in_use(error):
            unsettled = await self._settling.settle(one.claim_id, one.marker)
            if unsettled is None:
                return
            because = unsettled.because
        elif not is_of_time(error):
            because = f"refused_by_chain: {error}"
        if await self._moves.give_up(
            one, "failed", error=error, held_because=because, wait_s=self._waits.next_s(one.claim_id)
        ):
            self._metrics.count("failed")
            self._told(one, because)

    async def _look(self, attempts: Sequence[OpenAttempt]) -> None:
        look = await self._chain.look(
            [Subject(one.marker, one.signature, one.last_valid_block_height) for one in attempts]
        )
        for one, finding in zip(attempts, look.findings, strict=True):
            if finding is not Finding.DEAD and finding is not Finding.MARKED:
                self._hopeless_at_slot.pop(one.key, None)
            match finding:
                case Finding.MARKED:
                    await self._marked(one, look.slot)
                case Finding.DEAD:
                    await self._dead(one, look.slot)
                case Finding.UNKNOWN:
                    self._metrics.count("unknown_looks")
                case Finding.ALIVE | Finding.FOUND:
                    pass

    async def _marked(self, one: OpenAttempt, slot: int) -> None:
        unsettled = await self._settling.settle(one.claim_id, one.marker)
        if unsettled is None:
            self._hopeless_at_slot.pop(one.key, None)
            return
        _log.warning("claim %d, attempt %d: %s", one.claim_id, one.attempt, unsettled.because)
        # The node that answers may lag behind the one that has the marker: looked at again, some slots later.
        if not unsettled.foreign or not self._twice(one, slot):
            return
        if await self._moves.give_up(one, "expired", error=None, held_because=unsettled.because, wait_s=0.0):
            self._metrics.count("expired")
            self._told(one, unsettled.because)

    async def _dead(self, one: OpenAttempt, slot: int) -> None:
        twice = self._twice(one, slot)
        self._crash(Step.LOOKED)
        if not twice:
            return
        self._crash(Step.EXPIRING)
        if await self._moves.give_up(one, "expired", error=None, held_because=None, wait_s=0.0):
            self._metrics.count("expired")
            _log.info("claim %d, attempt %d can land no more", one.claim_id, one.attempt)
        self._crash(Step.EXPIRED)

    def _twice(self, one: OpenAttempt, slot: int) -> bool:
        """Whether a look some slots earlier said the same."""
        first = self._hopeless_at_slot.setdefault(one.key, slot)
        while len(self._hopeless_at_slot) > self._pace.remembered_claims:
            self._hopeless_at_slot.popitem(last=False)
        if slot < first + self._pace.looks_apart_slots:
            return False
        self._hopeless_at_slot.pop(one.key, None)
        return True

    def _told(self, one: OpenAttempt, because: str | None) -> None:
        if because is None:
            _log.warning("claim %d, attempt %d failed and is tried again", one.claim_id, one.attempt)
            return
        self._metrics.count("held")
        _log.error("claim %d is held: %s", one.claim_id, because)
