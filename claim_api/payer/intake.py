"""Reserved claims to attempts under way: ask the signer, take its answers apart, store, send. docs/claims.md, 2 to 4.

In: the ledger. Out: the ledger and the chain. Two payers never hold one claim at a time (a lease), and were it so, the
signer would give both the same bytes. Whatever fails before the storing leaves the claim reserved.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from claim_api.chain.port import Chain, ChainAway
from claim_api.ledger.moves import Moves, NewAttempt
from claim_api.ledger.rows import Claim
from claim_api.ledger.steps import Crash, Step, no_crash
from claim_api.payer.backoff import Waits
from claim_api.payer.config import Pace
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer, PaperMismatch
from claim_api.payer.sending import Sending
from claim_api.payer.settle import Settling
from claim_api.signer.process import SignerPort
from claim_api.signer.protocol import PASSING, TO_SETTLE, Code, Refused, Sign, Signed, Wanted
from claim_api.unix_socket import SocketError

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A batch on its way. taken: claims that were asked for, also those that were refused."""

    taken: int
    attempts: Sequence[NewAttempt]


class Intake:
    """One step takes one batch. prepare and send are its halves: one batch may be sent while the next is signed."""

    def __init__(
        self,
        moves: Moves,
        signer: SignerPort,
        chain: Chain,
        fee_payer: FeePayer,
        sending: Sending,
        settling: Settling,
        metrics: PayerMetrics,
        waits: Waits,
        pace: Pace,
        crash: Crash = no_crash,
    ) -> None:
        self._moves, self._signer, self._chain, self._fee_payer = moves, signer, chain, fee_payer
        self._sending, self._settling, self._metrics = sending, settling, metrics
        self._waits, self._pace, self._crash = waits, pace, crash

    async def step(self) -> int:
        """How many claims were taken; they are sent when this returns. Raises SocketError and ChainAway after putting
        them off."""
        prepared = await self.prepare()
        await self.send(prepared)
        return prepared.taken

    async def prepare(self) -> Prepared:
        """The next batch, stored and not yet sent. Raises as step does."""
        pace = self._pace
        longest_s = max(pace.lease_s, pace.retry_last_s)
        taken = await self._moves.take_reserved(pace.batch, pace.lease_s, longest_s)
        if not taken:
            return Prepared(0, ())
        self._metrics.count("reserved", len(taken))
        self._crash(Step.TAKEN)
        claims = {claim.claim_id: claim for claim, _ in taken}
        known = {claim.claim_id: attempts for claim, attempts in taken}
        try:
            attempts = await self._ask(claims, known)
        except (SocketError, ChainAway):
            await self._postpone(list(claims))
            raise
        stored = await self._moves.store(attempts)
        self._metrics.count("signed", len(stored))
        self._crash(Step.STORED)
        return Prepared(len(taken), [one for one in attempts if one.claim_id in stored])

    async def send(self, prepared: Prepared) -> None:
        """Gives a batch to the nodes."""
        await self._sending.send(prepared.attempts, again=False)

    async def _ask(self, claims: dict[int, Claim], known: dict[int, int]) -> list[NewAttempt]:
        recent = await self._chain.latest_blockhash()
        lamports = await self._chain.marker_lamports()
        wanted = [Wanted(claim_id, recent.blockhash, recent.last_valid_block_height) for claim_id in claims]
        answers = await self._signer.ask(Sign(wanted))
        self._crash(Step.SIGNED)
        attempts: list[NewAttempt] = []
        answered = set[int]()
        for answer in answers:
            if isinstance(answer, Refused) and answer.claim_id == 0:
                raise SocketError(f"the signer refuses the whole batch: {answer.message}")
            if not isinstance(answer, Signed | Refused) or answer.claim_id not in claims:
                continue
            answered.add(answer.claim_id)
            if isinstance(answer, Refused):
                await self._refused(answer)
            elif answer.attempt <= known[answer.claim_id]:
                # We gave that attempt up; the signer's nodes are not as far yet.
                self._metrics.count("signer_behind")
                await self._postpone([answer.claim_id])
            else:
                attempts += await self._completed(claims[answer.claim_id], answer, lamports)
        self._metrics.frozen.set(any(isinstance(one, Refused) and one.code is Code.FROZEN for one in answers))
        await self._postpone([claim_id for claim_id in claims if claim_id not in answered])
        return attempts

    async def _completed(self, claim: Claim, answer: Signed, lamports: int) -> list[NewAttempt]:
        try:
            made = self._fee_payer.complete(claim, answer, lamports)
        except PaperMismatch as error:
            self._metrics.count("mismatches")
            _log.error("%s", error)
            await self._hold(claim.claim_id, f"wrong_answer: {error}")
            return []
        self._waits.forget(claim.claim_id)
        return [made]

    async def _refused(self, answer: Refused) -> None:
        if answer.code in PASSING:
            await self._postpone([answer.claim_id])
            return
        if answer.code in TO_SETTLE:
            marker = await self._moves.marker_of(answer.claim_id)
            unsettled = None if marker is None else await self._settling.settle(answer.claim_id, marker)
            if unsettled is not None and not unsettled.foreign:  # the node that answered lags
                await self._postpone([answer.claim_id])
            elif unsettled is not None:
                await self._hold(answer.claim_id, unsettled.because)
            elif marker is None:
                await self._hold(answer.claim_id, f"{answer.code}: the signer's books have no marker of it")
            return
        await self._hold(answer.claim_id, f"{answer.code}: {answer.message}")

    async def _hold(self, claim_id: int, because: str) -> None:
        if await self._moves.hold(claim_id, because):
            self._metrics.count("held")
            _log.error("claim %d is held: %s", claim_id, because)

    async def _postpone(self, claim_ids: Sequence[int]) -> None:
        if claim_ids:
            self._metrics.count("postponed", len(claim_ids))
            await self._moves.postpone({claim_id: self._waits.next_s(claim_id) for claim_id in claim_ids})
