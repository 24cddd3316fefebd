"""The payer's own socket: the web process asks here for what a viewer signs, since it holds no key.

A socket and not rows of a table, because a GET writes nothing and the answer is wanted within the request: no table,
no right for the web role, no sweeping. In: PayerQuestion. Out: PayerAnswer. Whose claim it is, the web process has
checked; what may be signed, the signer checks.
"""

import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Final, Protocol

import msgspec
from msgspec import Meta

from claim_api.chain.port import Chain, ChainAway
from claim_api.database_faults import FAULTS
from claim_api.ledger.moves import Moves, NewAttempt
from claim_api.ledger.rows import Claim
from claim_api.ledger.steps import Crash, Step, no_crash
from claim_api.payer.metrics import PayerMetrics
from claim_api.payer.paper import FeePayer, PaperMismatch, message_of
from claim_api.payer.sending import Sending
from claim_api.payer.settle import Settling
from claim_api.signer.process import SignerPort
from claim_api.signer.protocol import (
    MAX_TRANSACTION_BYTES,
    TO_SETTLE,
    Action,
    ClaimId,
    Code,
    Cosign,
    Prepare,
    Prepared,
    Question,
    Refused,
    Signed,
    Wanted,
)
from claim_api.unix_socket import SocketBounds, SocketError, ask, serving

_log: Final = logging.getLogger(__name__)
BOUNDS: Final = SocketBounds(frame_bytes=4096, connections=64, requests_per_s=50.0, burst=100)


class PrepareFor(msgspec.Struct, frozen=True, tag_field="op", tag="prepare"):
    """Viewer pays: the transaction that the wallet signs first."""

    claim_id: ClaimId


class Submit(msgspec.Struct, frozen=True, tag_field="op", tag="submit"):
    """Viewer pays: the transaction that the wallet has signed."""

    claim_id: ClaimId
    transaction: Annotated[bytes, Meta(max_length=MAX_TRANSACTION_BYTES)]


class Act(msgspec.Struct, frozen=True, tag_field="op", tag="act"):
    """Action: the transaction that the wallet signs last, and sends itself."""

    claim_id: ClaimId


PayerQuestion = PrepareFor | Submit | Act


class Given(msgspec.Struct, frozen=True, tag_field="is", tag="given"):
    """transaction: for the wallet, or as it was sent."""

    transaction: bytes


PayerAnswer = Given | Refused

_encode: Final = msgspec.msgpack.Encoder().encode
_question_of: Final = msgspec.msgpack.Decoder(PayerQuestion).decode
_answer_of: Final = msgspec.msgpack.Decoder(PayerAnswer).decode


class PayerPort(Protocol):
    """The payer, as the web process sees it."""

    async def ask(self, question: PayerQuestion) -> PayerAnswer:
        """Raises claim_api.unix_socket.SocketError where nobody answers."""


class PayerClient:
    """PayerPort over the socket."""

    def __init__(self, path: Path, bounds: SocketBounds = BOUNDS) -> None:
        self._path, self._bounds = path, bounds

    async def ask(self, question: PayerQuestion) -> PayerAnswer:
        answer = await ask(self._path, _encode(question), self._bounds)
        try:
            found: PayerAnswer = _answer_of(answer)
            return found
        except msgspec.MsgspecError as error:
            raise SocketError(f"the answer on {self._path} is none of the payer's: {error}") from error


class Door:
    """Answers the web process."""

    def __init__(
        self,
        moves: Moves,
        signer: SignerPort,
        chain: Chain,
        fee_payer: FeePayer,
        sending: Sending,
        settling: Settling,
        metrics: PayerMetrics,
        crash: Crash = no_crash,
    ) -> None:
        self._moves, self._signer, self._chain, self._fee_payer = moves, signer, chain, fee_payer
        self._sending, self._settling, self._metrics, self._crash = sending, settling, metrics, crash

    async def answer(self, question: PayerQuestion) -> PayerAnswer:
        """Raises nothing on purpose."""
        try:
            return await self._answer(question)
        except (SocketError, ChainAway) as error:
            return Refused(question.claim_id, Code.CHAIN_AWAY, str(error)[:300])
        except FAULTS as error:
            _log.warning("the payer's database does not answer: %s: %s", type(error).__name__, error)
            return Refused(question.claim_id, Code.DATABASE_AWAY, "the database is away")

    async def _answer(self, question: PayerQuestion) -> PayerAnswer:
        found = await self._moves.claim(question.claim_id)
        if found is None:
            return Refused(question.claim_id, Code.NO_CLAIM, "the ledger has no such claim")
        claim, attempts = found
        if claim.state == "signed" and not isinstance(question, PrepareFor):
            return await self._again(claim, attempts, question)
        if claim.state != "reserved":
            return Refused(claim.claim_id, Code.WRONG_STATE, f"the claim is {claim.state}, not reserved")
        if isinstance(question, Submit):
            asked: Question = Cosign(claim.claim_id, question.transaction)
        else:
            recent = await self._chain.latest_blockhash()
            if isinstance(question, PrepareFor):
                asked = Prepare(claim.claim_id, recent.blockhash)
            else:
                asked = Action(Wanted(claim.claim_id, recent.blockhash, recent.last_valid_block_height))
        answers = await self._signer.ask(asked)
        self._crash(Step.SIGNED)
        match answers:
            case [Refused() as refused]:
                if refused.code in TO_SETTLE:
                    await self._settle(claim.claim_id)
                return refused
            case [Prepared() as prepared]:
                return Given(prepared.transaction)
            case [Signed() as signed] if signed.attempt > attempts:
                return await self._store(claim, signed)
        return Refused(claim.claim_id, Code.ATTEMPT_ALIVE, "an earlier attempt may still land; look again in a minute")

    async def _again(self, claim: Claim, attempts: int, question: PayerQuestion) -> PayerAnswer:
        """What is stored already is answered with itself."""
        stored = next(
            (one for attempt, one in await self._moves.attempts_of(claim.claim_id) if attempt == attempts), b""
        )
        if isinstance(question, Submit) and not _same(question.transaction, stored):
            return Refused(claim.claim_id, Code.ATTEMPT_ALIVE, "another transaction of the claim is under way")
        return Given(stored)

    async def _settle(self, claim_id: int) -> None:
        """Nobody else asks for a claim whose viewer pays: what the signer finds paid is confirmed here."""
        marker = await self._moves.marker_of(claim_id)
        if marker is not None:
            await self._settling.settle(claim_id, marker)

    async def _store(self, claim: Claim, signed: Signed) -> PayerAnswer:
        try:
            made: NewAttempt = self._fee_payer.complete(claim, signed, await self._chain.marker_lamports())
        except PaperMismatch as error:
            self._metrics.count("mismatches")
            _log.error("%s", error)
            return Refused(claim.claim_id, Code.WRONG_TRANSACTION, "the transaction is not the claim's payment")
        if not await self._moves.store([made]):
            return Refused(claim.claim_id, Code.WRONG_STATE, "the claim moved on meanwhile; look at it again")
        self._metrics.count("signed")
        self._crash(Step.STORED)
        await self._sending.send([made], again=False)
        return Given(made.transaction)


def _same(one: bytes, other: bytes) -> bool:
    try:
        return message_of(one) == message_of(other)
    except ValueError:
        return False


@contextlib.asynccontextmanager
async def serving_door(
    door: Door, path: Path, refused: Counter[str], bounds: SocketBounds = BOUNDS
) -> AsyncIterator[None]:
    """Answers while the block runs. Raises SocketError."""

    async def handle(frame: bytes) -> bytes:
        try:
            question = _question_of(frame)
        except msgspec.MsgspecError as error:
            return _encode(Refused(0, Code.MALFORMED, f"this is no question: {error}"[:300]))
        return _encode(await door.answer(question))

    async with serving(path, handle, bounds, refused):
        yield
