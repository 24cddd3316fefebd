"""What a replay leaves: seals.jsonl, a public leaf dump per epoch, one private file of who stands behind the refs.

DIR/seals.jsonl                                        a line a seal, sorted by channel, epoch, revision
DIR/leaves/<login or id>/<epoch>.<revision>.leaves.zst leaf preimages in index order (public: refs and counts)
DIR/viewers.private.jsonl.zst                          ref, identity and login of every leaf; mode 0600
DIR/dead.jsonl                                         a line each thing that could not be read
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import orjson
import zstandard
from blake3 import blake3

from schemas.errors import TwzrdError
from schemas.identity import ID_PREFIX
from schemas.sealed import SealedEpoch

SEALS: Final = "seals.jsonl"
DEAD: Final = "dead.jsonl"
PRIVATE: Final = "viewers.private.jsonl.zst"
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
        "leaves": f"leaves/{folder}/{header.epoch_start_s}.{header.revision}.leaves.zst",
        "policy": orjson.Fragment(sealed.policy),
    }


class OutputWriter:
    """Writes one replay's folder. Files take their names when they are whole; an earlier replay's are replaced."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder. Raises OutputError where it cannot, or where it holds something else."""
        self._folder = folder
        self._lines: list[tuple[str, int, int, bytes]] = []
        self._folders: dict[str, str] = {}
        self.seal_hashes: list[bytes] = []
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
        shutil.rmtree(folder / "leaves", ignore_errors=True)
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._private_part = folder / (PRIVATE + ".part")
        self._private_part.unlink(missing_ok=True)
        descriptor = os.open(self._private_part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._private_raw = os.fdopen(descriptor, "wb")
        self._private = zstandard.ZstdCompressor(level=3).stream_writer(self._private_raw)
        self._dead = (folder / (DEAD + ".part")).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._private.close()  # type: ignore[no-untyped-call]
        self._private_raw.close()
        self._dead.close()

    def seal(self, sealed: SealedEpoch) -> None:
        """Write one sealed epoch. Raises OutputError when the disk refuses."""
        header = sealed.header
        line = seal_line(sealed, self._folder_for(header.channel, sealed.login))
        path = self._folder / line["leaves"]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_bytes(self._compressor.compress(sealed.preimages().tobytes()))
            part.replace(path)
            self._private.write(_private_line(sealed) + b"\n")
        except OSError as error:
            raise OutputError(f"{path}: {error}; make room and replay again") from error
        self._lines.append((header.channel, header.epoch_start_s, header.revision, orjson.dumps(line)))
        self.seal_hashes.append(header.hash())

    def _folder_for(self, channel: str, login: str) -> str:
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
        self._lines.sort(key=lambda line: line[:3])
        try:
            self._private.close()  # type: ignore[no-untyped-call]
            self._private_raw.close()
            self._dead.close()
            seals = self._folder / (SEALS + ".part")
            with seals.open("wb") as out:
                out.writelines(line[3] + b"\n" for line in self._lines)
            self._private_part.replace(self._folder / PRIVATE)
            (self._folder / (DEAD + ".part")).replace(self._folder / DEAD)
            seals.replace(self._folder / SEALS)
        except OSError as error:
            raise OutputError(f"{self._folder}: {error}; make room and replay again") from error
        return digest(self.seal_hashes)


def digest(seal_hashes: list[bytes]) -> str:
    """blake3 of all seal hashes, sorted, concatenated, as hex."""
    return blake3(b"".join(sorted(seal_hashes))).hexdigest()


def _private_line(sealed: SealedEpoch) -> bytes:
    body = sealed.body
    refs = body.refs.tobytes().hex()
    hex_refs = (refs[at : at + 64] for at in range(0, len(refs), 64))
    return orjson.dumps(
        {
            "channel": sealed.header.channel,
            "epoch_start_s": sealed.header.epoch_start_s,
            "revision": sealed.header.revision,
            "viewers": list(zip(hex_refs, body.identities, body.logins, strict=True)),
        }
    )


def read_private(path: Path) -> Iterator[dict[str, Any]]:
    """The private file's lines: {channel, epoch_start_s, revision, viewers: [[ref, identity, login], …]}."""
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        pending = b""
        while block := stream.read(1 << 20):
            *lines, pending = (pending + block).split(b"\n")
            for line in lines:
                yield orjson.loads(line)
