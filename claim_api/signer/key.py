"""The authority's key, behind a port: what signs may be a file, or a service that never lets the key out.

In: a message that passed every check and stands in the books. Out: its Ed25519 signature.
"""

from pathlib import Path
from typing import Protocol

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from schemas.errors import TwzrdError
from streams.chain import keyfile


class KeyAway(TwzrdError):
    """The key cannot sign now. Nothing left the process; asking again gives the same signature."""


class KeyPort(Protocol):
    """One Ed25519 key.

    An implementation over a key management service (AWS KMS with an ECC_NIST_EDWARDS25519 key and RAW messages, GCP KMS
    with EC_SIGN_ED25519, a Vault transit key) sends the message whole, pure Ed25519 (RFC 8032) without a hash before
    it; asks the public key once, at start; bounds the call by a time-out of its own; raises KeyAway for whatever the
    service says. It needs no retries: the payer asks again, and the books answer with the same message. What it returns
    is verified against the public key before it is used.
    """

    @property
    def public_key(self) -> Pubkey: ...

    async def sign(self, message: bytes) -> Signature:
        """Raises KeyAway."""


class FileKey:
    """A key pair in a file of Solana's command line, mode 0600."""

    def __init__(self, keypair: Keypair) -> None:
        self._keypair = keypair

    @classmethod
    def read(cls, path: Path, name: str) -> "FileKey":
        """Raises streams.chain.errors.KeyFileError, which names the file and the mend."""
        return cls(keyfile.read(path, name))

    @property
    def public_key(self) -> Pubkey:
        return self._keypair.pubkey()

    async def sign(self, message: bytes) -> Signature:
        return self._keypair.sign_message(message)
