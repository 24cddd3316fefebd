"""What the session key does: signs cookies, makes CSRF tokens, seals Twitch's access tokens. Pure, but for randomness.

In: one or more keys of 32 bytes, the newest first. Out: bytes and text. The first key signs and seals; all of them
verify and open, so that a key is replaced by a new first line and dropped when the last session of the old one is over.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from claim_api.errors import ApiConfigError

KEY_BYTES: Final = 32
SECRET_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAC_CHARS: Final = 43
"""32 bytes as unpadded base64url; a secret's text has as many."""


class SessionKey:
    """Derives one key for each use (HKDF-SHA256, RFC 5869), so that no use says anything about another."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys or any(len(key) != KEY_BYTES for key in keys):
            raise ApiConfigError(
                f"the session key needs lines of {KEY_BYTES} bytes each; make it with: twzrd keys init"
            )
        self._cookie = [_derived(key, b"twzrd/session-cookie/v1") for key in keys]
        self._csrf = [_derived(key, b"twzrd/session-csrf/v1") for key in keys]
        self._seal = [AESGCM(_derived(key, b"twzrd/session-token/v1")) for key in keys]

    def __repr__(self) -> str:
        return f"SessionKey({len(self._cookie)} hidden)"

    def sign(self, purpose: str, secret: bytes) -> str:
        """A cookie's value: the secret and its signature for that purpose (the cookie's name)."""
        return f"{encoded(secret)}.{_mac(self._cookie[0], purpose.encode(), secret)}"

    def verified(self, purpose: str, value: str) -> bytes | None:
        """The secret of a cookie's value; None where we did not sign it for that purpose."""
        text, dot, mac = value.partition(".")
        secret = decoded(text) if dot and len(text) == MAC_CHARS and mac.isascii() else None
        if secret is None:
            return None
        known = any(hmac.compare_digest(_mac(key, purpose.encode(), secret), mac) for key in self._cookie)
        return secret if known else None

    def csrf_token(self, session_hash: bytes) -> str:
        """What a change within that session must bring in x-csrf-token."""
        return _mac(self._csrf[0], b"csrf", session_hash)

    def is_csrf_token(self, session_hash: bytes, token: str) -> bool:
        """Whether it is that session's, under any of the keys."""
        if not token.isascii():
            return False
        return any(hmac.compare_digest(_mac(key, b"csrf", session_hash), token) for key in self._csrf)

    def sealed(self, session_hash: bytes, token: str) -> bytes:
        """The token so that only the key's holder reads it, and only beside that session (AES-256-GCM)."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._seal[0].encrypt(nonce, token.encode(), session_hash)

    def opened(self, session_hash: bytes, sealed: bytes) -> str | None:
        """The token; None where none of the keys sealed it for that session."""
        for key in self._seal:
            try:
                return key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], session_hash).decode()
            except (InvalidTag, ValueError):
                continue
        return None


def hash_of(secret: bytes) -> bytes:
    """What the database knows of a secret. One round: the secret has 256 random bits."""
    return hashlib.sha256(secret).digest()


def encoded(data: bytes) -> str:
    """Unpadded base64url."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(text: str) -> bytes | None:
    """32 bytes of canonical unpadded base64url; else None."""
    try:
        data = urlsafe_b64decode(text + "=")
    except (Base64Error, ValueError):
        return None
    return data if len(data) == SECRET_BYTES and encoded(data) == text else None


def _derived(key: bytes, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=use).derive(key)


def _mac(key: bytes, purpose: bytes, data: bytes) -> str:
    return encoded(hmac.digest(key, purpose + b"\0" + data, "sha256"))
