"""What a replay leaves: seals.jsonl, a public leaf dump per epoch, one private file of who stands behind the refs.

DIR/seals.jsonl                                        a line a seal, sorted by channel, epoch, revision
DIR/leaves/<login or id>/<epoch>.<revision>.leaves.zst leaf preimages in index order (public: refs and counts)
DIR/viewers.private.zst                                identity and login of every leaf, in leaf order; mode 0600
DIR/dead.jsonl                                         a line each thing that could not be read
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

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
LEAVES_PART: Final = "leaves.part"
ZSTD_LEVEL: Final = 1
"""Refs do not compress: of 1M events level 3 took four times as long, for the same size."""
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
        self._private = zstandard.ZstdCompressor(level=ZSTD_LEVEL).stream_writer(self._private_raw)

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
    return LEAVES_PART + leaves.removeprefix(LEAVES)


def _write_file(path: str, data: bytes) -> None:
    """A whole small file; a thousand of them cost half of what file objects take."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)


class OutputWriter:
    """Writes one replay's folder. Files take their names when all is whole; an earlier replay's are replaced."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OutputError where it cannot, or where it holds something else."""
        self.folder = folder
        self._written: list[Written] = []
        self._folders: dict[str, str] = {}
        self._parts: list[Path] = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"--out {folder}: {error}; name a folder that can be written") from error
        foreign = [
            child.name
            for child in folder.iterdir()
            if child.name.split(".")[0] not in {"seals", "leaves", "viewers", "dead"}
        ]
        if foreign:
            raise OutputError(f"--out {folder} holds {foreign[0]!r}, which is not a replay's; name an empty folder")
        (folder / SEALS).unlink(missing_ok=True)
        for old in (LEAVES, LEAVES_PART):
            shutil.rmtree(folder / old, ignore_errors=True)
        for left in folder.glob(PRIVATE + ".part*"):
            left.unlink()
        self._own = SealFiles(folder, self._new_part())
        self._dead = (folder / (DEAD + ".part")).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._own.abandon()
        self._dead.close()

    def seal(self, sealed: SealedEpoch) -> None:
        """Write one sealed epoch. Raises OutputError when the disk refuses."""
        leaf_folder = self.leaf_folder(sealed.header.channel, sealed.login)
        self._written.append(self._own.write(sealed, leaf_folder))

    def parts(self, count: int) -> list[Path]:
        """Names for private files that as many other processes write; they go in this order behind our own."""
        return [self._new_part() for _ in range(count)]

    def take(self, written: Iterable[Written]) -> None:
        """Take note of seals that another process has written."""
        self._written += written

    def leaf_folder(self, channel: str, login: str) -> str:
        """One folder a channel: where two channels bore one login, the second goes by its id or hash."""
        if channel not in self._folders:
            name = folder_of(channel, login)
            taken = name in self._folders.values()
            self._folders[channel] = folder_of(channel, "") if taken else name
        return self._folders[channel]

    def dead(self, letter: object) -> None:
        """Write one dead letter."""
        self._dead.write(msgspec.json.encode(letter) + b"\n")

    def finish(self) -> str:
        """Give the files their names and return the digest: blake3 of all seal hashes, sorted, concatenated."""
        self._written.sort(key=lambda one: one.place)
        self._own.close()
        try:
            self._dead.close()
            with self._parts[0].open("ab") as whole:
                for part in self._parts[1:]:
                    with part.open("rb") as one:  # frames of zstd may follow each other
                        shutil.copyfileobj(one, whole, 1 << 20)
                    part.unlink()
            seals = self.folder / (SEALS + ".part")
            with seals.open("wb") as out:
                out.writelines(one.line + b"\n" for one in self._written)
            if (self.folder / LEAVES_PART).exists():
                (self.folder / LEAVES_PART).replace(self.folder / LEAVES)
            self._parts[0].replace(self.folder / PRIVATE)
            (self.folder / (DEAD + ".part")).replace(self.folder / DEAD)
            seals.replace(self.folder / SEALS)
        except OSError as error:
            raise OutputError(f"{self.folder}: {error}; make room and replay again") from error
        return digest([one.seal_hash for one in self._written])

    def _new_part(self) -> Path:
        self._parts.append(self.folder / f"{PRIVATE}.part{len(self._parts)}")
        return self._parts[-1]


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


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Participants)


def read_private(path: Path) -> Iterator[Participants]:
    """The private file's records. Raises OutputError where it is damaged."""
    try:
        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True) as stream:
            while length := stream.read(4):
                yield _decoder.decode(stream.read(int.from_bytes(length, "little")))
    except (OSError, zstandard.ZstdError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise OutputError(f"{path}: {error}; replay again") from error
