"""Dead letters: what could not be taken, kept with its reason (design: laws 2 and 5). JSON, one object a record."""

from typing import Final, Literal

import msgspec
from blake3 import blake3

VERSION: Final = 1
MAX_REASON_CHARS: Final = 500


class DeadLetter(msgspec.Struct, frozen=True, omit_defaults=True):
    """One refused line, event or record. `where` names file and line, or stream, partition and offset; `payload`
    (hex) is kept only where the operator keeps text, else hash and length stand for it."""

    v: int
    what: Literal["line", "event", "record"]
    where: dict[str, str | int]
    reason: str
    hash: str
    length: int
    payload: str | None = None


def dead_letter(
    what: Literal["line", "event", "record"],
    where: dict[str, str | int],
    reason: str,
    payload: bytes,
    *,
    keep_payload: bool = False,
) -> DeadLetter:
    """A dead letter for these bytes; the reason must not quote them."""
    return DeadLetter(
        VERSION,
        what,
        where,
        reason[:MAX_REASON_CHARS],
        blake3(payload).hexdigest(),
        len(payload),
        payload.hex() if keep_payload else None,
    )


def encode(letter: DeadLetter) -> bytes:
    """JSON bytes."""
    return msgspec.json.encode(letter)


def decode(data: bytes) -> DeadLetter:
    """Strict reading; msgspec.DecodeError where it does not fit."""
    return msgspec.json.decode(data, type=DeadLetter)
