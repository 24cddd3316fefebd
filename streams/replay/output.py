"""The files a replay leaves: seals.jsonl, a public leaf dump per epoch, one private file of who stands behind the refs.
`folder` puts them together.

DIR/seals.jsonl                                        a line a seal, sorted by channel, epoch, revision
DIR/leaves/<login or id>/<epoch>.<revision>.leaves.zst leaf preimages in index order (public: refs and counts)
DIR/viewers.private.zst                                identity and login of every leaf, in leaf order; mode 0600
DIR/dead.jsonl                                         a line each thing that could not be read
"""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import orjson
import zstandard
from blake3 import blake3

from schemas.errors import TwzrdError
from schemas.identity import ID_PREFIX
from schemas.packed import encodable
from schemas.sealed import SealedEpoch

SEALS: Final = "seals.jsonl"
DEAD: Final = "dead.jsonl"
PRIVATE: Final = "viewers.private.zst"
LEAVES: Final = "leaves"
PART: Final = ".part"
"""Behind a name: of a file or folder that is not whole yet."""
ZSTD_LEVEL: Final = 1
"""Refs do not compress: of 1M events level 3 took four times as long, for the same size."""
MAX_RECORD_BYTES: Final = 1 << 30
"""Of the private file: ten million viewers of one epoch."""
_SAFE_LOGIN = re.compile(r"[a-z0-9_]{1,64}")


class OutputError(TwzrdError):
    """The output folder cannot be written to, or is not one of ours."""


def folder_of(channel: str, login: str) -> str:
    """The folder of a channel's leaf dumps: its login where that is a plain one, else its id, else a hash of its
    identity. Nothing else from chat names a path."""
    if _SAFE_LOGIN.fullmatch(login):
        return login
    if channel.startswith(ID_PREFIX):
        return channel.removeprefix(ID_PREFIX)
    return blake3(channel.encode()).hexdigest()


def seal_line(sealed: SealedEpoch, folder: str) -> dict[str, Any]:
    """The public JSON form of a seal: hashes as lowercase hex, weight as digits; folder is below DIR/leaves."""
    header = sealed.header
    return {
        "channel": header.channel,
        "login": sealed.login,
        "epoch_start_s": header.epoch_start_s,
        "epoch_length_s": header.epoch_length_s,
        "revision": header.revision,
        "leaf_count": header.leaf_count,
        "total_weight_centi": str(header.total_weight_centi),
        "total_messages": header.total_messages,
        "root": header.root.hex(),
        "policy_hash": header.policy_hash.hex(),
        "input_digest": header.input_digest.hex(),
        "coverage": [[start, end, kind] for start, end, kind in sealed.coverage],
        "coverage_hash": header.coverage_hash.hex(),
        "pepper_commit": header.pepper_commit.hex(),
        "seal_hash": header.hash().hex(),
        "leaves": f"{LEAVES}/{folder}/{header.epoch_start_s}.{header.revision}.leaves.zst",
        "policy": orjson.Fragment(sealed.policy),
    }


class Written(NamedTuple):
    """A seal that was written: what it sorts by, its line of seals.jsonl, its hash."""

    place: tuple[str, int, int]
    """Channel, epoch start, revision."""
    line: bytes
    seal_hash: bytes


class SealFiles:
    """Writes leaf dumps and a private file below DIR; one in each process that seals. The folder is there."""

    def __init__(self, folder: Path, private: Path) -> None:
        """Raises OutputError where the private file cannot be made."""
        self._folder = folder
        self._made: set[str] = set()
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        try:
            descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise OutputError(f"{private}: {error}; make room and replay again") from error
        self._private_raw = os.fdopen(descriptor, "wb")
        # No root stands for what is in here, so its frames bear a checksum.
        private_packing = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
        self._private = private_packing.stream_writer(self._private_raw)

    def write(self, sealed: SealedEpoch, leaf_folder: str) -> Written:
        """Write one sealed epoch. Raises OutputError when the disk refuses."""
        header = sealed.header
        line = seal_line(sealed, leaf_folder)
        path = f"{self._folder}/{_part_of(line['leaves'])}"
        try:
            if leaf_folder not in self._made:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                self._made.add(leaf_folder)
            _write_file(path, self._compressor.compress(sealed.preimages().data))
            self._private.write(_private_record(sealed))
        except OSError as error:
            raise OutputError(f"{path}: {error}; make room and replay again") from error
        place = (header.channel, header.epoch_start_s, header.revision)
        return Written(place, orjson.dumps(line), header.hash())

    def close(self) -> None:
        """The private file is whole. Raises OutputError when the disk refuses."""
        try:
            self._private.close()  # type: ignore[no-untyped-call]
            self._private_raw.close()
        except OSError as error:
            raise OutputError(f"{self._folder}: {error}; make room and replay again") from error

    def abandon(self) -> None:
        """Let the files go as they are; what keeps them from being closed has been told."""
        with suppress(OSError, ValueError):
            self._private_raw.close()


def _part_of(leaves: str) -> str:
    """Where a leaf dump lies until everything is whole: leaves.part/… for leaves/…"""
    return LEAVES + PART + leaves.removeprefix(LEAVES)


def _write_file(path: str, data: bytes) -> None:
    """A whole small file; a thousand of them cost half of what file objects take."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


def digest(seal_hashes: list[bytes]) -> str:
    """blake3 of all seal hashes, sorted, concatenated, as hex."""
    return blake3(b"".join(sorted(seal_hashes))).hexdigest()


def _private_record(sealed: SealedEpoch) -> bytes:
    # Refs are not said again: they stand in the leaf dump, at the same places. Names go from the seal into the file as
    # they lie packed there; as JSON with refs in hex they took a fifth of a replay's time.
    body, header = sealed.body, sealed.header
    packed = _encoder.encode(
        (header.channel, header.epoch_start_s, header.revision, encodable(body.identities), encodable(body.logins))
    )
    return len(packed).to_bytes(4, "little") + packed


class Participants(msgspec.Struct, array_like=True, frozen=True):
    """A record of the private file: who stands behind the leaves of one seal. identities[i] and logins[i] are those of
    the leaf of index i."""

    channel: str
    epoch_start_s: int
    revision: int
    identities: list[str]
    logins: list[str]

    @property
    def place(self) -> tuple[str, int, int]:
        """Its seal's, as Written has it."""
        return self.channel, self.epoch_start_s, self.revision


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Participants)


def read_private(path: Path) -> Iterator[Participants]:
    """The private file's records. Raises OutputError where it is damaged."""
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
            while length := stream.read(4):
                size = int.from_bytes(length, "little")
                if size > MAX_RECORD_BYTES:
                    raise OutputError(f"{path} has a record of {size} bytes; it is damaged, replay again")
                yield _decoder.decode(stream.read(size))
    except (OSError, zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutputError(f"{path}: {error}; replay again") from error
