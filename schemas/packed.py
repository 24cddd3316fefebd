"""Strings and pairs of strings as they lie packed in records: msgpack array elements one after the other.

They are sequences like any other, but nothing is decoded until somebody looks: the fold and the seal move the bytes
alone, which is several times faster than making a Python string per viewer.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import msgspec

from schemas.errors import SchemaError

T = TypeVar("T")

_encoder = msgspec.msgpack.Encoder()
_pairs_decoder = msgspec.msgpack.Decoder(list[tuple[str, str]])
_strings_decoder = msgspec.msgpack.Decoder(list[str])


def array_header(count: int) -> bytes:
    """The msgpack header of an array of that many elements, in its shortest form."""
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 65_536 else b"\xdd" + count.to_bytes(4, "big")


def without_header(array: bytes) -> tuple[int, bytes]:
    """(count, elements) of a packed array. Raises SchemaError where the bytes are no array."""
    first = array[0] if array else 0
    if first & 0xF0 == 0x90:
        return first & 0x0F, array[1:]
    if first == 0xDC:
        return int.from_bytes(array[1:3], "big"), array[3:]
    if first == 0xDD:
        return int.from_bytes(array[1:5], "big"), array[5:]
    raise SchemaError(f"packed sequence begins with byte {first:#04x}; it must be a msgpack array")


class _Packed(Sequence[T], Generic[T]):
    """count elements, packed without a header in `elements`."""

    __slots__ = ("_count", "_decoded", "elements")
    _decoder: msgspec.msgpack.Decoder[Any]

    def __init__(self, count: int, elements: bytes) -> None:
        self._count, self.elements = count, elements
        self._decoded: list[T] | None = None

    def decoded(self) -> list[T]:
        """All elements. Raises SchemaError where the bytes are damaged or of another kind."""
        if self._decoded is None:
            try:
                self._decoded = self._decoder.decode(self.array())
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise SchemaError(f"packed sequence of {self._count} does not decode: {error}") from error
        return self._decoded

    def array(self) -> bytes:
        """The whole msgpack array."""
        return array_header(self._count) + self.elements

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        return iter(self.decoded())

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        return self.decoded()[index]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.decoded() == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list has none


class PackedStrings(_Packed[str]):
    """Strings."""

    __slots__ = ()
    _decoder = _strings_decoder


class PackedPairs(_Packed[tuple[str, str]]):
    """Pairs of strings: (identity, login)."""

    __slots__ = ()
    _decoder = _pairs_decoder

    @classmethod
    def of(cls, pairs: Sequence[tuple[str, str]]) -> "PackedPairs":
        """Those pairs packed, each string in its shortest form."""
        return cls(*without_header(_encoder.encode(pairs)))


def encodable(values: Sequence[T]) -> msgspec.Raw | Sequence[T]:
    """What msgspec encodes as that sequence, packed already or not."""
    return msgspec.Raw(values.array()) if isinstance(values, _Packed) else values
