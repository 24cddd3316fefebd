"""Versions of records packed as arrays: a newer one is told from a damaged one before anything else is said."""

import msgspec

from schemas.errors import UnknownVersion

_elements = msgspec.msgpack.Decoder(list[msgspec.Raw])


def raise_if_newer(data: bytes, ours: int, what: str, *, place: int = 0) -> None:
    """Raise UnknownVersion where the element at `place` of a packed array is a version above ours; else do nothing."""
    try:
        version = msgspec.msgpack.decode(_elements.decode(data)[place], type=int)
    except (msgspec.DecodeError, RecursionError, IndexError):
        return
    if version > ours:
        raise UnknownVersion(f"{what} of version {version} is newer than this program's {ours}; update the program")
