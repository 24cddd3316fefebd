"""The authority's key behind its port: a service that is away puts claims off, one that answers for another key signs
nothing, and when it is back the message that stands in the books is signed."""

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from claim_api.signer.key import FileKey, KeyAway
from claim_api.signer.protocol import Code, Refused, Sign, Wanted
from claim_api.signer.service import Signer
from tests.claims_parts import SignerHere
from tests.claims_world import ClaimsWorld


class Service:
    """KeyPort over a service that may be away, or hold another key than it says."""

    def __init__(self, keypair: Keypair) -> None:
        self._public_key = keypair.pubkey()
        self.holds: Keypair | None = keypair

    @property
    def public_key(self) -> Pubkey:
        return self._public_key

    async def sign(self, message: bytes) -> Signature:
        if self.holds is None:
            raise KeyAway("the key service does not answer")
        return await FileKey(self.holds).sign(message)


def with_key(claims: ClaimsWorld, service: Service) -> SignerHere:
    signer = claims.signer()
    made: Signer = signer.signer
    made._key = service
    return signer


async def test_a_service_that_is_away_puts_the_claim_off_and_signs_the_same_message_later(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    service = Service(claims.authority)
    payer = claims.payer(with_key(claims, service))
    service.holds = None
    await payer.take()
    assert await claims.state(claim) == "reserved"
    assert payer.metrics.value("postponed") == 1
    service.holds = claims.authority
    await payer.until_confirmed(claim)
    assert claims.paid(7) == claim.amount_base_units
    assert await claims.owner.fetchval("select count(*) from claims.signer_attempts") == 1


async def test_a_service_that_answers_for_another_key_signs_nothing(claims: ClaimsWorld) -> None:
    claim = await claims.viewer_with_claim()
    service = Service(claims.authority)
    signer = with_key(claims, service)
    service.holds = Keypair()
    recent = await claims.chain.latest_blockhash()
    [answer] = await signer.ask(Sign([Wanted(claim.claim_id, recent.blockhash, recent.last_valid_block_height)]))
    assert isinstance(answer, Refused) and answer.code is Code.KEY_AWAY
    assert await claims.state(claim) == "reserved"
