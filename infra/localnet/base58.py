"""Base58 of any bytes, Bitcoin's alphabet: what Solana writes transactions and instruction data in.

solders has it for keys, hashes and signatures only.
"""

from typing import Final

ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES: Final = {character: value for value, character in enumerate(ALPHABET)}


def encode(data: bytes) -> str:
    """Text of the bytes; a leading zero byte is a leading 1."""
    number, digits = int.from_bytes(data, "big"), []
    while number:
        number, digit = divmod(number, 58)
        digits.append(ALPHABET[digit])
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """Bytes of the text. Raises ValueError for a character that is none of the alphabet."""
    number = 0
    for character in text:
        if (value := _VALUES.get(character)) is None:
            raise ValueError(f"character {character!r} is not base58")
        number = number * 58 + value
    return b"\0" * (len(text) - len(text.lstrip("1"))) + number.to_bytes((number.bit_length() + 7) // 8, "big")
