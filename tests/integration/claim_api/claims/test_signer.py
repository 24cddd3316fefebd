"""The signer believes nobody: whatever is changed in the ledger, it refuses by the code of the check that found it."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from solders.keypair import Keypair

from claim_api.ledger.operate import freeze, set_cap
from claim_api.ledger.rows import Claim
from claim_api.ledger.steps import Step
from claim_api.signer.last_signed import LastSigned
from claim_api.signer.protocol import Answer, Code, Refused, Sign, Signed, Wanted
from tests.claims_parts import Crashed, Crasher, SignerHere, bound_message
from tests.claims_world import ClaimsWorld
from tests.seals import T0_S, seal_of, viewers


async def ask(world: ClaimsWorld, *claims: Claim | int, signer: SignerHere | None = None) -> list[Answer]:
    recent = await world.chain.latest_blockhash()
    ids = [one if isinstance(one, int) else one.claim_id for one in claims]
    wanted = [Wanted(one, recent.blockhash, recent.last_valid_block_height) for one in ids]
    return await (signer or world.signer()).ask(Sign(wanted))


async def code(world: ClaimsWorld, claim: Claim | int) -> Code:
    [answer] = await ask(world, claim)
    assert isinstance(answer, Refused), answer
    # Whatever is refused leaves nothing in the books.
    booked = await world.owner.fetchval(
        "select count(*) from claims.signer_claims where claim_id = $1", answer.claim_id
    )
    assert booked == 0
    return answer.code


async def test_a_good_claim_is_signed_and_stands_in_the_books(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Signed) and answer.attempt == 1
    booked = await claims.owner.fetchrow("select * from claims.signer_claims")
    assert (booked["wallet"], int(booked["amount_base_units"])) == (claim.wallet, claim.amount_base_units)
    assert await claims.owner.fetchval("select count(*) from claims.signer_allocations") == 1


TAMPERED: dict[str, tuple[str, Code]] = {
    "no such claim": ("delete from claims.claim_allocations; delete from claims.claims", Code.NO_CLAIM),
    "wallet": ("update claims.claims set wallet = '{stranger}'", Code.WALLET_NOT_IN_FORCE),
    "amount raised": ("update claims.claims set amount_base_units = amount_base_units + 1", Code.WRONG_SUM),
    "amount lowered": ("update claims.claims set amount_base_units = 1", Code.WRONG_SUM),
    "mint": ("update claims.claims set mint = '{stranger}'", Code.WRONG_MINT),
    "state": ("update claims.claims set state = 'held'", Code.WRONG_STATE),
    "fee": ("update claims.claims set fee = 'viewer'", Code.WRONG_FEE),
    "viewer": ("update claims.claims set viewer_key = 8", Code.NO_WALLET),
    "allocation of another viewer": (
        "update claims.claim_allocations set viewer_key = 8",
        Code.FOREIGN_ALLOCATION,
    ),
    "allocation that is not": ("update claims.claim_allocations set revision = 5", Code.NO_ALLOCATION),
    "allocation of another channel": (
        "update claims.claim_allocations set channel = 'twitch:id:999'",
        Code.NO_ALLOCATION,
    ),
    "increase": (
        "update claims.claim_allocations set amount_base_units = 5; update claims.claims set amount_base_units = 5",
        Code.WRONG_INCREASE,
    ),
    "read model gives nothing": ("update viewer_epochs set increase_base_units = 0", Code.NO_ALLOCATION),
    "channel stopped": (
        "insert into stopped_channels values ('twitch:id:100', 1, 0, '', '', 0, 0)",
        Code.CHANNEL_STOPPED,
    ),
    "no allocations": ("delete from claims.claim_allocations", Code.WRONG_SUM),
    "no binding": ("delete from claims.user_wallets", Code.NO_WALLET),
    "binding's signature": (
        "update claims.user_wallets set signature = set_byte(signature, 3, 255 - get_byte(signature, 3))",
        Code.BINDING_INVALID,
    ),
    "binding's wallet and claim's": (
        "update claims.user_wallets set wallet = '{stranger}'; update claims.claims set wallet = '{stranger}'",
        Code.BINDING_INVALID,
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_tampered_row_is_refused(claims: ClaimsWorld, what: str) -> None:
    statement, expected = TAMPERED[what]
    await claims.seal(seal_of(viewers(8), channel="twitch:id:101"))
    claim = await claims.viewer_with_claim()
    await claims.owner.execute(statement.format(stranger=Keypair().pubkey()))
    assert await code(claims, claim) is expected


async def test_a_binding_that_names_another_account_or_site_is_refused(claims: ClaimsWorld) -> None:
    """As a web process that was taken over would try it: a viewer without a wallet, bound to the thief's own."""
    claim = await claims.viewer_with_claim()
    thief = Keypair()
    for message, signature in (bound_message(thief, 8), bound_message(thief, 7, domain="elsewhere.example")):
        await claims.owner.execute(
            "update claims.user_wallets set wallet = $1, message = $2, signature = $3",
            str(thief.pubkey()),
            message,
            signature,
        )
        await claims.owner.execute("update claims.claims set wallet = $1", str(thief.pubkey()))
        assert await code(claims, claim) is Code.BINDING_INVALID


async def test_an_allocation_is_signed_for_under_one_claim_only(claims: ClaimsWorld) -> None:
    first = await claims.viewer_with_claim()
    [answer] = await ask(claims, first)
    assert isinstance(answer, Signed)
    # The ledger forgets the first claim's allocation and gives it to another claim: as a restored database might.
    second = await claims.owner.fetchval(
        "insert into claims.claims (viewer_key, wallet, mint, amount_base_units, fee) "
        "select viewer_key, wallet, mint, amount_base_units, fee from claims.claims returning claim_id"
    )
    await claims.owner.execute("update claims.claim_allocations set claim_id = $1", second)
    assert await code(claims, second) is Code.SIGNED_ELSEWHERE


async def test_two_claims_in_one_batch_share_no_allocation(claims: ClaimsWorld) -> None:
    """The ledger's key makes it impossible; the signer's own key does, too."""
    claim = await claims.viewer_with_claim()
    await ask(claims, claim)
    statement = (
        "insert into claims.signer_allocations select viewer_key, channel, epoch_start_s, revision, claim_id "
        "from claims.signer_allocations"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await claims.signer_pool.execute(statement)


async def test_a_claim_that_changed_after_it_was_signed_is_refused(claims: ClaimsWorld) -> None:
    await claims.hours(7, count=2)
    await claims.bind(7)
    claim = await claims.reserve(7)
    assert isinstance((await ask(claims, claim))[0], Signed)
    half = claim.amount_base_units // 2
    await claims.owner.execute("delete from claims.claim_allocations where epoch_start_s = $1", T0_S)
    await claims.owner.execute("update claims.claims set amount_base_units = $1", half)
    claims.slots(400)  # the first attempt is dead, so a new one would be made
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Refused) and answer.code is Code.CLAIM_CHANGED


async def test_asking_again_gives_the_same_bytes_while_they_may_land(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    [first] = await ask(claims, claim)
    claims.slots(10)
    [second] = await ask(claims, claim, signer=claims.signer())
    assert first == second
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


async def test_a_dead_attempt_is_followed_by_another_one(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    [first] = await ask(claims, claim)
    claims.slots(400)
    [second] = await ask(claims, claim)
    assert isinstance(first, Signed) and isinstance(second, Signed)
    assert (second.attempt, second.marker) == (2, first.marker)
    assert second.transaction != first.transaction


async def test_a_lie_about_the_height_does_not_make_an_attempt_dead(claims: ClaimsWorld) -> None:
    """A payer that names an early last height would get a second transaction while the first may land."""
    claim = await claims.viewer_with_claim()
    recent = await claims.chain.latest_blockhash()
    signer = claims.signer()
    [first] = await signer.ask(Sign([Wanted(claim.claim_id, recent.blockhash, 0)]))
    claims.slots(5)
    later = await claims.chain.latest_blockhash()
    [second] = await signer.ask(Sign([Wanted(claim.claim_id, later.blockhash, 0)]))
    assert first == second
    assert isinstance(first, Signed) and first.last_valid_block_height >= recent.last_valid_block_height


async def test_a_paid_claim_is_not_signed_again_even_when_its_marker_is_gone(claims: ClaimsWorld) -> None:
    """A payer that was taken over: it lands the claim, takes the marker's rent, and calls the claim unpaid."""
    claim = await claims.viewer_with_claim()
    payer = claims.payer()
    await payer.until_confirmed(claim)
    claims.slots(400)
    assert await payer.payer.rent.step() == (0, 1)
    claims.slots(400)
    assert await payer.payer.rent.step() == (1, 0)
    await claims.payer_pool.execute("update claims.claims set state = 'signed'")
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Refused) and answer.code is Code.ALREADY_PAID


async def test_the_daily_cap_stops_a_run(claims: ClaimsWorld) -> None:
    await claims.hours(7, 8, 9)
    made = []
    for viewer in (7, 8, 9):
        await claims.bind(viewer)
        made.append(await claims.reserve(viewer))
    await set_cap(claims.owner, 2 * made[0].amount_base_units)
    answers = await ask(claims, *made)
    assert [type(one) for one in answers] == [Signed, Signed, Refused]
    assert isinstance(answers[2], Refused) and answers[2].code is Code.OVER_CAP
    # A claim counts once: asked again, after its first attempt is dead, it takes nothing more of the cap.
    claims.slots(400)
    assert isinstance((await ask(claims, made[0]))[0], Signed)
    await set_cap(claims.owner, 3 * made[0].amount_base_units)
    assert isinstance((await ask(claims, made[2]))[0], Signed)


async def test_two_signers_at_once_keep_one_cap(claims: ClaimsWorld) -> None:
    await claims.hours(*range(10, 26))
    made = []
    for viewer in range(10, 26):
        await claims.bind(viewer)
        made.append(await claims.reserve(viewer))
    await set_cap(claims.owner, 8 * made[0].amount_base_units)
    answers = await asyncio.gather(*(ask(claims, one, signer=claims.signer()) for one in made))
    assert sum(isinstance(one, Signed) for [one] in answers) == 8


async def test_the_day_never_goes_back(claims: ClaimsWorld) -> None:
    await claims.hours(7, 8)
    made = []
    for viewer in (7, 8):
        await claims.bind(viewer)
        made.append(await claims.reserve(viewer))
    await set_cap(claims.owner, made[0].amount_base_units)
    await ask(claims, made[0])
    # The clock of tomorrow's signing was ahead; today's cap is that day's.
    await claims.owner.execute("update claims.signer_days set day = day + 1")
    [answer] = await ask(claims, made[1])
    assert isinstance(answer, Refused) and answer.code is Code.OVER_CAP


async def test_frozen_signs_nothing_new_and_says_nothing_again(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    await freeze(claims.owner, "a leak")
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Refused) and answer.code is Code.FROZEN and "a leak" in answer.message
    await freeze(claims.owner, None)
    assert isinstance((await ask(claims, claim))[0], Signed)
    await freeze(claims.owner, "again")
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Refused) and answer.code is Code.FROZEN


@pytest.mark.parametrize(("at", "booked"), [(Step.CHECKED, 0), (Step.BOOKED, 1), (Step.ANSWERING, 1)])
async def test_a_signer_that_dies_has_booked_before_it_signs(claims: ClaimsWorld, at: Step, booked: int) -> None:
    claim = await claims.viewer_with_claim()
    with pytest.raises(Crashed):
        await ask(claims, claim, signer=claims.signer(Crasher(at)))
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == booked
    [answer] = await ask(claims, claim)
    assert isinstance(answer, Signed) and answer.attempt == 1


async def test_nothing_is_signed_before_the_books_are_committed(claims: ClaimsWorld) -> None:
    """The key is asked by a signer whose commit has been seen by another connection."""
    claim = await claims.viewer_with_claim()
    seen: list[Any] = []
    signer = claims.signer()
    key = signer.signer._key

    class Watched:
        public_key = key.public_key

        async def sign(self, message: bytes) -> Any:
            seen.append(await claims.owner.fetchval("select message from claims.signer_attempts"))
            assert seen[-1] == message
            return await key.sign(message)

    signer.signer._key = Watched()
    assert isinstance((await ask(claims, claim, signer=signer))[0], Signed)
    assert len(seen) == 1


async def test_a_batch_answers_each_claim_by_itself(claims: ClaimsWorld) -> None:
    good = await claims.viewer_with_claim(7)
    answers = await ask(claims, good, 999)
    assert isinstance(answers[0], Signed)
    assert isinstance(answers[1], Refused) and answers[1].code is Code.NO_CLAIM
    [doubled] = await ask(claims, good, good)
    assert isinstance(doubled, Refused) and doubled.code is Code.MALFORMED


async def test_a_database_restored_from_an_old_copy_is_not_signed_from(claims: ClaimsWorld, tmp_path: Path) -> None:
    """The lost claim's hour would be paid again in a claim of two hours, whose marker is another."""
    path = tmp_path / "signer" / "last"
    claim = await claims.viewer_with_claim()
    payer = claims.payer(claims.signer(last_signed=LastSigned(path)))
    await payer.until_confirmed(claim)
    # The old copy: before the claim was reserved.
    await claims.owner.execute(
        "truncate claims.claims, claims.claim_allocations, claims.attempts, claims.signer_claims, "
        "claims.signer_allocations, claims.signer_attempts, claims.signer_days restart identity"
    )
    await claims.hours(7, first=1)
    again = await claims.reserve(7)
    assert len(again.allocations) == 2
    for signer in (payer, claims.payer(claims.signer(last_signed=LastSigned(path)))):
        await signer.take()
        assert await claims.state(again) == "reserved"
    [answer] = await ask(claims, again, signer=claims.signer(last_signed=LastSigned(path)))
    assert isinstance(answer, Refused) and answer.code is Code.BOOKS_BEHIND
    path.unlink()  # the operator has reconciled
    assert isinstance((await ask(claims, again, signer=claims.signer(last_signed=LastSigned(path))))[0], Signed)


async def test_a_mark_that_cannot_be_written_keeps_the_signature_back(claims: ClaimsWorld, tmp_path: Path) -> None:
    claim = await claims.viewer_with_claim()
    last_signed = LastSigned(tmp_path / "file" / "last")
    (tmp_path / "file").touch()
    [answer] = await ask(claims, claim, signer=claims.signer(last_signed=last_signed))
    assert isinstance(answer, Refused) and answer.code is Code.KEY_AWAY
    [answer] = await ask(claims, claim, signer=claims.signer(last_signed=LastSigned(tmp_path / "last")))
    assert isinstance(answer, Signed) and answer.attempt == 1


async def test_what_is_said_again_is_marked_first(claims: ClaimsWorld, tmp_path: Path) -> None:
    """The signer died between the commit and the mark."""
    claim = await claims.viewer_with_claim()
    path = tmp_path / "last"
    with pytest.raises(Crashed):
        await ask(claims, claim, signer=claims.signer(Crasher(Step.BOOKED), last_signed=LastSigned(path)))
    assert not path.exists()
    [answer] = await ask(claims, claim, signer=claims.signer(last_signed=LastSigned(path)))
    assert isinstance(answer, Signed)
    mark = LastSigned(path).mark
    assert mark is not None and (mark.claim_id, mark.attempt) == (claim.claim_id, 1)
