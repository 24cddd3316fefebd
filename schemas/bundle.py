"""Proof bundles: one JSON file that a stranger can check offline (spec: Proof bundle). Form only; checking is in
streams.core.verify."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from schemas.errors import SchemaError

MAX_BYTES: Final = 1024 * 1024
MAX_PATH: Final = 64
# `$` alone matches before a line end too, which bytes.fromhex would pass over.
Hex32 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
HexLeaf = Annotated[str, Meta(pattern=r"^[0-9a-f]{192}$(?!\n)")]
HexBytes = Annotated[str, Meta(pattern=r"^([0-9a-f]{2})*$(?!\n)", max_length=4096)]
Path = Annotated[list[Hex32], Meta(max_length=MAX_PATH)]


class ViewerOpening(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shows whom the leaf belongs to."""

    identity: str
    epoch_key: Hex32


class LogInclusion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The seal's place in the transparency log."""

    index: Annotated[int, Meta(ge=0)]
    size: Annotated[int, Meta(ge=1)]
    path: Path


class Neighbour(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A leaf beside the gap, with its path."""

    leaf: HexLeaf
    path: Path


class Presence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="presence", kw_only=True):
    """A viewer took part in a channel's epoch."""

    v: Literal[1]
    leaf: HexLeaf
    path: Path
    seal: HexBytes
    policy: dict[str, Any]
    viewer: ViewerOpening | None
    log: LogInclusion | None
    checkpoint: str | None


class Absence(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="absence", kw_only=True):
    """No leaf bears viewer_ref: its neighbours stand side by side. None only at an edge of the tree."""

    v: Literal[1]
    viewer_ref: Hex32
    left: Neighbour | None
    right: Neighbour | None
    seal: HexBytes
    policy: dict[str, Any]
    viewer: ViewerOpening | None
    log: LogInclusion | None
    checkpoint: str | None


Bundle = Presence | Absence
_decoder: msgspec.json.Decoder[Bundle] = msgspec.json.Decoder(Bundle)


def decode(data: bytes | str) -> Bundle:
    """Strict reading; every field must be there. SchemaError names the field that is off."""
    if len(data) > MAX_BYTES:
        raise SchemaError(f"proof bundle of {len(data)} bytes is over the bound of {MAX_BYTES}")
    try:
        bundle = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(f"proof bundle is not of the documented form: {error}") from error
    return bundle


def encode(bundle: Bundle) -> bytes:
    """JSON bytes of a bundle."""
    return msgspec.json.encode(bundle)
