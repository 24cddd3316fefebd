"""Signatures come to a transaction one at a time: viewer, signer, fee payer, each in its own process.

In: a message or a transaction, a key pair. Out: the transaction with that signature in its place.
"""

from solders.keypair import Keypair
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from streams.chain.errors import ChainError


def unsigned(message: Message | MessageV0) -> bytes:
    """The transaction with every signature's place empty."""
    return bytes(VersionedTransaction.populate(message, [Signature.default()] * message.header.num_required_signatures))


def sign(transaction: bytes, *keypairs: Keypair) -> bytes:
    """The transaction with these signatures too. It signs whatever it is given: read it first. Raises ChainError."""
    message = VersionedTransaction.from_bytes(transaction).message
    payload = to_bytes_versioned(message)
    for keypair in keypairs:
        transaction = put_signature(transaction, keypair.pubkey(), keypair.sign_message(payload))
    return transaction


def put_signature(transaction: bytes, signer: Pubkey, signature: Signature) -> bytes:
    """The transaction with this signature in the signer's place. Raises ChainError where it does not verify, or the
    key is no signer of it."""
    parsed = VersionedTransaction.from_bytes(transaction)
    message = parsed.message
    signers = message.account_keys[: message.header.num_required_signatures]
    if signer not in signers:
        raise ChainError(f"{signer} is no signer of this transaction; it wants {', '.join(map(str, signers))}")
    if not signature.verify(signer, to_bytes_versioned(message)):
        raise ChainError(f"the signature of {signer} does not verify; was the message changed after signing?")
    signatures = parsed.signatures
    signatures[signers.index(signer)] = signature
    return bytes(VersionedTransaction.populate(message, signatures))
