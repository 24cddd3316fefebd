"""Ed25519 verification that takes one encoding of each signature and no key that signs for everybody. Pure.

In: key, message, signature. Out: nothing, or ValueError saying what is off. RFC 8032 leaves room: libraries differ on
S >= L, on points of small order (whose "signature" fits many messages), on y >= p. `verify_strict` behind solders
refuses the first two; here each rule is checked by itself, so that none rests on a library's version.
"""

from typing import Final

from solders.pubkey import Pubkey
from solders.signature import Signature

P: Final = 2**255 - 19
L: Final = 2**252 + 27742317777372353535851937790883648493
_SIGN: Final = 1 << 255
_ORDER_8_Y: Final = int.from_bytes(
    bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "little"
)
_SMALL_ORDER_Y: Final = frozenset({0, 1, P - 1, _ORDER_8_Y, P - _ORDER_8_Y})
"""y of the eight points of order 1, 2, 4 and 8; with either sign of x."""


def check_point(what: str, encoded: bytes) -> None:
    """Raises ValueError where the 32 bytes are not the one encoding of a point, or one of small order."""
    number = int.from_bytes(encoded, "little")
    y = number & (_SIGN - 1)
    if y >= P or (number & _SIGN and y in (1, P - 1)):
        raise ValueError(f"{what} is not in its one encoding")
    if y in _SMALL_ORDER_Y:
        raise ValueError(f"{what} is of small order")


def verify(key: bytes, message: bytes, signature: bytes) -> None:
    """Returns where the signature is the key's for the message; else raises ValueError."""
    if len(key) != 32 or len(signature) != 64:
        raise ValueError("a key has 32 bytes, a signature 64")
    check_point("the key", key)
    check_point("the signature's R", signature[:32])
    if int.from_bytes(signature[32:], "little") >= L:
        raise ValueError("the signature's S is not in its one encoding")
    if not Signature(signature).verify(Pubkey(key), message):
        raise ValueError("the signature is not this key's for this message")
