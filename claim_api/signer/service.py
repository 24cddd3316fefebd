"""One request to the signer, from the checks through the books to the signature.

In: a question of claim_api.signer.protocol. Out: an answer for each claim. The order is the law of this module: what is
signed for is committed to the books first, and only then is anything signed; what leaves the process can be said again
from the books, byte for byte.
"""

import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from solders.message import Message, MessageV0, from_bytes_versioned

from claim_api.chain.port import Chain, ChainAway
from claim_api.database_faults import FAULTS
from claim_api.ledger.steps import Crash, Step, no_crash
from claim_api.signer import books as bookkeeping
from claim_api.signer.books import BookedAttempt, Entry, Facts
from claim_api.signer.checks import CheckFailed, Checks, within_cap
from claim_api.signer.earlier import Earlier, Fate, fates
from claim_api.signer.key import KeyAway, KeyPort
from claim_api.signer.last_signed import LastSigned, MarkError, holds
from claim_api.signer.making import Making, SignerConfig, Wish, message_in
from claim_api.signer.protocol import (
    Action,
    Answer,
    AskStatus,
    Code,
    Cosign,
    Prepare,
    Prepared,
    Question,
    Refused,
    Sign,
    Signed,
    SignerStatus,
)
from streams.chain import signing
from streams.chain.errors import ChainError

_log: Final = logging.getLogger(__name__)
BOOKS_BEHIND: Final = (
    "the database is older than what this signer signed for; nothing is signed until: twzrd claims reconcile, and the "
    "mark of the last signature is removed"
)


class Signer:
    """Answers questions. pool: of role twzrd_signer; last_signed: None keeps the mark in memory; crash: tests only."""

    def __init__(
        self,
        pool: Any,
        chain: Chain,
        key: KeyPort,
        checks: Checks,
        config: SignerConfig,
        *,
        last_signed: LastSigned | None = None,
        crash: Crash = no_crash,
    ) -> None:
        self._last_signed = last_signed or LastSigned(None)
        self._pool, self._chain, self._key, self._checks, self._config = pool, chain, key, checks, config
        self._crash = crash
        self._making = Making(checks, config, key.public_key)
        self.counts: Final[Counter[str]] = Counter()
        """Signed, said again, and refusals by their code."""

    async def answer(self, question: Question) -> list[Answer]:
        """One answer for each claim, in their order. Raises nothing on purpose."""
        try:
            found = await self._answer(question)
        except FAULTS as error:
            _log.warning("the signer's database does not answer: %s: %s", type(error).__name__, error)
            found = [Refused(claim_id, Code.DATABASE_AWAY, "the database is away") for claim_id in _ids(question)]
        for one in found:
            if isinstance(one, Refused):
                self.counts[f"refused_{one.code}"] += 1
        return found

    async def _answer(self, question: Question) -> list[Answer]:
        match question:
            case Sign(claims):
                wishes = [Wish(one.claim_id, "server", one.blockhash, one.last_valid_block_height) for one in claims]
            case Action(one):
                wishes = [Wish(one.claim_id, "action", one.blockhash, one.last_valid_block_height)]
            case Prepare(claim_id, blockhash):
                wishes = [Wish(claim_id, "viewer", blockhash, books=False)]
            case Cosign(claim_id, transaction):
                wishes = [Wish(claim_id, "viewer", "", transaction=transaction)]
            case AskStatus():
                return [await self._status()]
        if len({one.claim_id for one in wishes}) != len(wishes):
            return [Refused(0, Code.MALFORMED, "a claim stands twice in the batch")]
        return await self._decide(wishes)

    async def _decide(self, wishes: Sequence[Wish]) -> list[Answer]:
        ids = [one.claim_id for one in wishes]
        # Looked at before the lock is taken: a slow node must not hold up whoever waits for the books.
        async with self._pool.acquire() as connection:
            attempts = await bookkeeping.latest_attempts(connection, ids)
            messages = await bookkeeping.messages_of(connection, list(attempts))
        earlier = await fates(self._chain, attempts, messages, self._key.public_key)
        try:
            height, lamports = await self._chain.block_height(), await self._chain.marker_lamports()
        except ChainAway as error:
            return [Refused(claim_id, Code.CHAIN_AWAY, str(error)[:300]) for claim_id in ids]
        answers: dict[int, Answer] = {}
        to_sign: dict[int, tuple[BookedAttempt, bytes]] = {}
        async with self._pool.acquire() as connection, connection.transaction():
            books = await bookkeeping.open_books(connection, ids)
            if not await self._remembers(connection):
                return [Refused(claim_id, Code.BOOKS_BEHIND, BOOKS_BEHIND) for claim_id in ids]
            signed_today = books.switches.signed_today_base_units
            for wish in wishes:
                facts = books.facts[wish.claim_id]
                try:
                    claim = self._checks.claim(facts, books.switches, wish.fee)
                    said = self._said_before(wish, facts, earlier.get(wish.claim_id))
                    if said is not None:
                        to_sign[wish.claim_id] = said
                        self.counts["said_again"] += 1
                        continue
                    entry, transaction = self._making.entry(wish, claim, facts, height, lamports)
                    if not wish.books:
                        answers[wish.claim_id] = Prepared(wish.claim_id, transaction)
                        continue
                    signed_today = within_cap(claim, facts, books.switches, signed_today)
                    books.entries.append(entry)
                    to_sign[wish.claim_id] = _attempt_of(entry), transaction
                except CheckFailed as refusal:
                    answers[wish.claim_id] = Refused(wish.claim_id, refusal.code, str(refusal))
            self._crash(Step.CHECKED)
            await bookkeeping.write(connection, books)
            newest = await bookkeeping.newest_attempt(connection)
        # Committed. From here on the same can be said again, whatever happens.
        self._crash(Step.BOOKED)
        if newest is not None and to_sign:
            try:
                await self._last_signed.put(*newest)
            except MarkError as error:
                return [Refused(claim_id, Code.KEY_AWAY, str(error)) for claim_id in ids]
        self.counts["signed"] += len(books.entries)
        for claim_id, (attempt, transaction) in to_sign.items():
            answers[claim_id] = await self._signed(claim_id, attempt, transaction)
        self._crash(Step.ANSWERING)
        return [answers[claim_id] for claim_id in ids]

    async def _remembers(self, connection: Any) -> bool:
        mark = self._last_signed.mark
        if mark is None:
            return True
        message = await bookkeeping.message_of(connection, mark.claim_id, mark.attempt)
        if holds(mark, message):
            return True
        _log.critical("the books have forgotten attempt %d of claim %d: %s", mark.attempt, mark.claim_id, BOOKS_BEHIND)
        return False

    def _said_before(self, wish: Wish, facts: Facts, earlier: Earlier | None) -> tuple[BookedAttempt, bytes] | None:
        """The recorded attempt where it may still land; None where a new one may be made."""
        newest = facts.attempt
        if newest is None:
            return None
        # Booked by another signer since we looked, it is as young as can be.
        fate = Fate.ALIVE if earlier is None or earlier.attempt != newest.attempt else earlier.fate
        if fate is Fate.PAID:
            raise CheckFailed(Code.ALREADY_PAID, "one of the claim's attempts landed: it was paid")
        if fate is Fate.TAKEN:
            raise CheckFailed(Code.MARKER_TAKEN, f"{newest.marker} was made by none of the claim's attempts")
        if fate is Fate.DEAD:
            return None
        if wish.transaction is not None and message_in(wish.transaction) == newest.message:
            return newest, wish.transaction
        if wish.fee == "viewer":
            raise CheckFailed(
                Code.ATTEMPT_ALIVE,
                f"attempt {newest.attempt} may still land until block {newest.last_valid_block_height}",
            )
        # An operator who retries has another one pay the fee; until the booked attempt is dead both could land.
        message = _parsed(newest.message)
        if (message.account_keys[0] == self._config.server_fee_payer) is not (wish.fee == "server"):
            raise CheckFailed(
                Code.ATTEMPT_ALIVE,
                f"attempt {newest.attempt}, whose fee another one pays, may still land until block "
                f"{newest.last_valid_block_height}",
            )
        return newest, signing.unsigned(message)

    async def _signed(self, claim_id: int, attempt: BookedAttempt, transaction: bytes) -> Answer:
        try:
            signature = await self._key.sign(attempt.message)
            # Verifies it: a key service that answered for another key is found here.
            whole = signing.put_signature(transaction, self._key.public_key, signature)
        except (KeyAway, ChainError) as error:
            return Refused(claim_id, Code.KEY_AWAY, str(error))
        return Signed(
            claim_id,
            attempt.attempt,
            whole,
            attempt.blockhash,
            attempt.last_valid_block_height,
            attempt.marker,
            attempt.marker_seed,
        )

    async def _status(self) -> SignerStatus:
        async with self._pool.acquire() as connection:
            switches = await bookkeeping.read_switches(connection)
        cap, config = switches.daily_cap_base_units, self._config
        return SignerStatus(
            authority=str(self._key.public_key),
            mint=str(config.mint),
            source=config.source,
            server_fee_payer=str(config.server_fee_payer),
            frozen=switches.frozen_because is not None,
            day=switches.day.isoformat(),
            signed_today_base_units=switches.signed_today_base_units,
            cap_left_base_units=None if cap is None else max(0, cap - switches.signed_today_base_units),
        )


def _attempt_of(entry: Entry) -> BookedAttempt:
    return BookedAttempt(
        entry.attempt,
        entry.blockhash,
        entry.last_valid_block_height,
        entry.message,
        entry.marker,
        entry.marker_seed,
    )


def _parsed(message: bytes) -> Message | MessageV0:
    parsed = from_bytes_versioned(message)
    assert isinstance(parsed, Message | MessageV0)  # the books hold no other
    return parsed


def _ids(question: Question) -> Sequence[int]:
    match question:
        case Sign(claims):
            return [one.claim_id for one in claims]
        case Action(claim):
            return [claim.claim_id]
        case Prepare(claim_id=claim_id) | Cosign(claim_id=claim_id):
            return [claim_id]
        case _:
            return [0]
