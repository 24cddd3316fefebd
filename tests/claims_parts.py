"""Small parts of tests of claims: a signed binding, a crash at a step, a signer that speaks its own protocol here."""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from solders.keypair import Keypair
from solders.pubkey import Pubkey

from claim_api.ledger.steps import Step
from claim_api.signer import protocol
from claim_api.signer.books import Binding
from claim_api.signer.protocol import Answer, Question
from claim_api.signer.service import Signer
from claim_api.wallets import siws
from infra.localnet.chain import Chain
from streams.chain.terms import associated_account

DOMAIN = "127.0.0.1:8480"
CLUSTER = "localnet"
MARKER_SECRET = b"\x09" * 32
TOKEN_AMOUNT_AT = 64


class Crashed(BaseException):
    """The process died here."""


@dataclass
class Crasher:
    """Dies at the step, once; says which steps were passed."""

    at: Step | None = None
    passed: list[Step] = field(default_factory=list)

    def __call__(self, step: Step) -> None:
        self.passed.append(step)
        if step is self.at:
            self.at = None
            raise Crashed(step)


class SignerHere:
    """The signer in this process, through the bytes of its protocol."""

    def __init__(self, signer: Signer) -> None:
        self.signer = signer

    async def ask(self, question: Question) -> list[Answer]:
        read = protocol.question_of(protocol.encode(question))
        return protocol.answers_of(protocol.encode(await self.signer.answer(read)))


def bound_message(wallet: Keypair, viewer_key: int, *, domain: str = DOMAIN) -> tuple[bytes, bytes]:
    """What the owner of the wallet signs, and the signature."""
    now = datetime.now(UTC).replace(microsecond=0)
    said = siws.SignIn(
        domain=domain,
        address=str(wallet.pubkey()),
        uri=f"http://{domain}",
        chain_id=CLUSTER,
        nonce=secrets.token_hex(16),
        issued_at=now,
        expiration_time=now + timedelta(seconds=600),
        identity=f"twitch:id:{viewer_key}",
    )
    message = siws.build(said).encode()
    return message, bytes(wallet.sign_message(message))


def verify(binding: Binding, identity: str) -> None:
    """As the signer's composition does."""
    siws.verify_binding(binding.message, binding.signature, binding.wallet, identity, DOMAIN, CLUSTER)


def held_base_units(chain: Chain, wallet: Pubkey, mint: Pubkey) -> int:
    """What the wallet's associated account holds, at the chain's newest slot; 0 without one."""
    found = chain.bank.account(associated_account(wallet, mint), chain.slot)
    return 0 if found is None else int.from_bytes(bytes(found.data)[TOKEN_AMOUNT_AT : TOKEN_AMOUNT_AT + 8], "little")
