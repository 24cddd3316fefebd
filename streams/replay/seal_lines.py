"""A replay's folder read again: the lines of seals.jsonl and their leaf dumps, as strangers hand them over.

In: a folder as streams.replay.output describes it. Out: lines of the documented form, dumps of at most the size their
line says. What does not fit is a VerifyError, whatever the bytes are.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import zstandard
from msgspec import Meta

from schemas.bundle import Hex32
from schemas.errors import SchemaError, TwzrdError
from schemas.identity import MAX_IDENTITY_BYTES
from schemas.policy import Policy, decode_policy
from schemas.seal import LEAF_BYTES, SealHeader
from streams.replay.output import LEAVES, SEALS

MOST_PACKED: Final = 16
"""A third of a leaf is its ref, which does not compress; a dump that says it holds more than so many times its size on
disk lies, and would fill the memory."""
_FRAME_BYTES: Final = 1024

U16 = Annotated[int, Meta(ge=0, le=2**16 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U63 = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class VerifyError(TwzrdError):
    """Something of a folder cannot be checked, or does not hold."""


class SealLine(msgspec.Struct, frozen=True):
    """A line of seals.jsonl, as far as it is checked; unknown fields are ignored."""

    channel: Annotated[str, Meta(max_length=MAX_IDENTITY_BYTES)]
    epoch_start_s: U63
    epoch_length_s: U32
    revision: U16
    leaf_count: U32
    total_weight_centi: Annotated[str, Meta(pattern="^(0|[1-9][0-9]{0,19})$")]
    total_messages: U63
    root: Hex32
    policy_hash: Hex32
    input_digest: Hex32
    coverage: list[tuple[U63, U63, Literal["live", "recovered", "absent"]]]
    coverage_hash: Hex32
    pepper_commit: Hex32
    seal_hash: Hex32
    leaves: str
    policy: dict[str, Any]
    login: str = ""

    @property
    def place(self) -> tuple[str, int, int]:
        """What seals are sorted by; of each there is one."""
        return self.channel, self.epoch_start_s, self.revision

    def header(self) -> SealHeader:
        """The header these fields make. Raises VerifyError where its bytes cannot hold them."""
        header = SealHeader(
            self.revision,
            self.epoch_length_s,
            self.epoch_start_s,
            self.channel,
            self.leaf_count,
            int(self.total_weight_centi),
            self.total_messages,
            *(
                bytes.fromhex(part)
                for part in (self.root, self.policy_hash, self.input_digest, self.coverage_hash, self.pepper_commit)
            ),
        )
        try:
            header.encode()
        except SchemaError as error:
            raise VerifyError(f"its fields make no seal header: {error}") from error
        return header

    def policy_in_force(self) -> Policy:
        """The policy printed beside the seal."""
        return decode_policy(msgspec.json.encode(self.policy), "the seal's policy")


def read_seals(folder: Path) -> list[SealLine]:
    """seals.jsonl, strictly. Raises VerifyError naming the line."""
    path = folder / SEALS
    lines = []
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    lines.append(msgspec.json.decode(line, type=SealLine))
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise VerifyError(
                        f"{path} line {number}: {error}; the file is damaged or not a replay's"
                    ) from error
    except OSError as error:
        raise VerifyError(
            f"{path}: {error.strerror}; name a folder that replay wrote (twzrd replay home/archive --out DIR makes one "
            "of what was collected)"
        ) from error
    return lines


def read_dump(folder: Path, line: SealLine) -> bytes:
    """The leaf dump of a seal, unpacked. Raises VerifyError on a missing, damaged, oversized or misplaced one."""
    size = LEAF_BYTES * line.leaf_count
    try:
        path = (folder / line.leaves).resolve()
        if not path.is_relative_to((folder / LEAVES).resolve()):
            raise VerifyError(f"leaf dump {line.leaves!r} lies outside the folder")
        packed_bytes = path.stat().st_size
        if size > MOST_PACKED * packed_bytes + _FRAME_BYTES:
            raise VerifyError(
                f"leaf dump {line.leaves} has {packed_bytes} bytes; it cannot hold {line.leaf_count} leaves"
            )
        unpacking = zstandard.ZstdDecompressor()
        with path.open("rb") as file, unpacking.stream_reader(file, read_across_frames=True) as stream:
            return stream.read(size + 1)
    except (OSError, ValueError, zstandard.ZstdError) as error:
        raise VerifyError(f"leaf dump {line.leaves}: {error}; fetch it again") from error
