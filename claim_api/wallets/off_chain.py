"""Solana's off-chain message header, which hardware wallets put before a text that they sign. Pure.

In: signed bytes. Out: the text's bytes, or OffChainError naming the field. Forms, all for one signer:

    v0      \\xffsolana offchain | 0 | application domain 32 | format | 1 | signer 32 | length u16le | text
    compact \\xffsolana offchain | 0 | format | length u16le | text             (Solana's SDK, older Ledger apps)
    v1      \\xffsolana offchain | 1 | 1 | signer 32 | text                     (the later proposal, sRFC 38)

Source: docs.anza.xyz/proposals/off-chain-message-signing; the header builders of Ledger's and Solana's own kits.
Format 0 is printable ASCII (Ledger allows line feeds in it), 1 is UTF-8 up to 1,212 bytes; 2 is for texts that no
device shows.
"""

import hashlib
from typing import Final

PREFIX: Final = b"\xffsolana offchain"
FORMATS: Final = (0, 1)
MAX_TEXT_BYTES: Final = 1_212
MAX_HEADER_BYTES: Final = 85
NO_DOMAIN: Final = bytes(32)


class OffChainError(ValueError):
    """field: what of the header is off."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def is_off_chain(data: bytes) -> bool:
    """Whether it begins with the header; no text of ours does."""
    return data.startswith(PREFIX[:1])


def application_domains(domain: str) -> tuple[bytes, ...]:
    """What wallets write for a site: nothing, its name cut or padded to 32 bytes, or its SHA-256."""
    name = domain.encode()
    return NO_DOMAIN, name[:32].ljust(32, b"\0"), hashlib.sha256(name).digest()


def wrap(text: bytes, signer: bytes, application_domain: bytes = NO_DOMAIN, message_format: int = 0) -> bytes:
    """The v0 form."""
    middle = application_domain + bytes((message_format, 1)) + signer
    return PREFIX + b"\0" + middle + len(text).to_bytes(2, "little") + text


def wrap_compact(text: bytes, message_format: int = 0) -> bytes:
    """The form without domain and signer."""
    return PREFIX + bytes((0, message_format)) + len(text).to_bytes(2, "little") + text


def wrap_v1(text: bytes, signer: bytes) -> bytes:
    """The v1 form."""
    return PREFIX + b"\x01\x01" + signer + text


def unwrap(data: bytes, signer: bytes, domain: str) -> bytes:
    """The text within, whose header must be one of the forms, for that signer and site. Raises OffChainError."""
    if len(data) > MAX_HEADER_BYTES + MAX_TEXT_BYTES:
        raise OffChainError("message_length", f"the message has {len(data)} bytes, which no form of ours has")
    if not data.startswith(PREFIX):
        raise OffChainError("header", "the header does not begin as an off-chain message")
    version, rest = data[len(PREFIX) : len(PREFIX) + 1], data[len(PREFIX) + 1 :]
    if version == b"\x01":
        return _signed_by(rest, signer)
    if version != b"\0":
        raise OffChainError("header_version", f"header version {version.hex() or 'none'} is not 0 or 1")
    # The compact form has its format where the other has the site's name: a name begins with no such byte, and the
    # zeros of an empty one would say that the text has no length.
    if len(rest) > 3 and rest[0] in FORMATS and rest[1:3] == (len(rest) - 3).to_bytes(2, "little"):
        return _text(rest[3:])
    if rest[:32] not in application_domains(domain):
        raise OffChainError("application_domain", "the application domain is another site's")
    if len(rest) < 33 or rest[32] not in FORMATS:
        raise OffChainError("message_format", "the message format is not 0 or 1")
    after = _signed_by(rest[33:], signer)
    if after[:2] != (len(after) - 2).to_bytes(2, "little"):
        raise OffChainError("message_length", "the length is not that of the text")
    return _text(after[2:])


def _signed_by(data: bytes, signer: bytes) -> bytes:
    if data[:1] != b"\x01" or data[1:33] != signer or len(data) < 36:
        raise OffChainError("signers", "the header does not name this wallet as its one signer")
    return data[33:]


def _text(text: bytes) -> bytes:
    if len(text) > MAX_TEXT_BYTES:
        raise OffChainError("message_length", f"the text has over {MAX_TEXT_BYTES} bytes")
    return text
