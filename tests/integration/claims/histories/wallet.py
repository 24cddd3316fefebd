"""What a viewer's wallet does with a transaction: signs it, or first puts in the newest blockhash of its own node, as
wallets do."""

from solders.hash import Hash
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import VersionedTransaction

from streams.chain import signing


def signed_by(transaction: bytes, wallet: Keypair) -> bytes:
    """With the wallet's signature."""
    return signing.sign(transaction, wallet)


def refreshed(transaction: bytes, blockhash: Hash) -> bytes:
    """The same, unsigned, with another blockhash."""
    message = VersionedTransaction.from_bytes(transaction).message
    assert isinstance(message, Message)
    header = message.header
    return signing.unsigned(
        Message.new_with_compiled_instructions(
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
            message.account_keys,
            blockhash,
            message.instructions,
        )
    )
