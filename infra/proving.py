"""Finding a sealed epoch, in a folder or in the database, and proving a viewer in it. For the command line."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from infra import compose
from infra.settings import Settings
from schemas import identity as identities
from schemas import seal as layout
from schemas.body import decode_body
from schemas.bundle import Bundle, ViewerOpening
from schemas.errors import SchemaError, TwzrdError
from streams.core.proofs import ProvableEpoch
from streams.core.verify import verify_dump
from streams.replay.output import PRIVATE, read_private
from streams.replay.seal_lines import SealLine, read_dump, read_seals


class NotFound(TwzrdError):
    """No such channel, epoch or viewer."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which epoch: channel by login or identity; revision None is the latest."""

    channel: str
    epoch_start_s: int
    revision: int | None


@dataclass(frozen=True, slots=True)
class Found:
    """A sealed epoch with what is needed to prove in it; identities by login, of those who took part. logins: None
    where nobody is named."""

    header: layout.SealHeader
    policy: bytes
    preimages: NDArray[np.uint8]
    logins: dict[str, set[str]] | None

    def identity_of(self, login: str) -> str:
        """The identity behind a login in that epoch. Raises NotFound: absence is proved for identities only."""
        if self.logins is None:
            raise NotFound(
                f"nothing there says who viewer {login!r} is, {PRIVATE} being away or without that epoch; give an "
                "identity, like --viewer twitch:id:12345"
            )
        found = self.logins.get(identities.ascii_lower(login), set())
        if len(found) > 1:
            raise NotFound(f"{len(found)} viewers bore the login {login!r} in that epoch; give one of {sorted(found)}")
        if not found:
            raise NotFound(
                f"viewer {login!r} did not take part in that epoch under this login; to prove absence give "
                "an identity, like --viewer twitch:id:12345"
            )
        return next(iter(found))


def prove(found: Found, identity: str, pepper: bytes) -> Bundle:
    """The bundle for one identity. Raises NotFound where the pepper is not the seal's, or the leaves are not."""
    if layout.pepper_commit(pepper) != found.header.pepper_commit:
        raise NotFound("the pepper is not the one this seal commits to; give the right --pepper-file")
    tag = layout.epoch_tag(found.header.channel, found.header.epoch_start_s)
    key = layout.epoch_key(layout.viewer_key(identities.check(identity), pepper), tag)
    provable = ProvableEpoch(found.header.encode(), found.policy, found.preimages)
    if provable.tree.root != found.header.root:
        raise NotFound(
            f"{_damaged(found.header.channel, found.header.epoch_start_s)}: they do not give their seal's root; "
            f"{_MEND}, or replay the raw log again"
        )
    return provable.prove(layout.viewer_ref(identity, key), ViewerOpening(identity=identity, epoch_key=key.hex()))


def from_folder(folder: Path, wanted: Wanted) -> Found:
    """The epoch from a replay's folder. Raises NotFound naming what the folder has, VerifyError or ProofError where
    the seal and its dump do not belong to each other: what is proved from them would not hold."""
    name = wanted.channel if wanted.channel.startswith("twitch:") else identities.ascii_lower(wanted.channel)
    lines = [
        line
        for line in read_seals(folder)
        if name in (line.channel, line.login)
        and line.epoch_start_s == wanted.epoch_start_s
        and wanted.revision in (None, line.revision)
    ]
    if not lines:
        raise NotFound(f"{folder} has {_described(wanted)}; its seals.jsonl lists what it has")
    channels = sorted({line.channel for line in lines})
    if len(channels) > 1:
        raise NotFound(f"{len(channels)} channels bore the login {wanted.channel!r}; give one of {channels}")
    line = max(lines, key=lambda line: line.revision)
    header, dump = line.header(), read_dump(folder, line)
    verify_dump(header, line.policy_in_force(), dump)
    preimages = np.frombuffer(dump, np.uint8).reshape(-1, layout.LEAF_BYTES)
    return Found(header, msgspec.json.encode(line.policy), preimages, _logins(folder, line))


def _logins(folder: Path, line: SealLine) -> dict[str, set[str]] | None:
    path = folder / PRIVATE
    if not path.exists():
        return None
    for epoch in read_private(path):
        if epoch.place == line.place:
            return _by_login(epoch.logins, epoch.identities)
    return None


def _by_login(logins: Iterable[str], who: Iterable[str]) -> dict[str, set[str]]:
    """Nearly always one identity each; a login may change hands within an hour."""
    out: dict[str, set[str]] = {}
    for login, identity in zip(logins, who, strict=True):
        out.setdefault(login, set()).add(identity)
    return out


def from_database(settings: Settings, wanted: Wanted) -> Found:
    """The epoch from the read models."""
    with compose.database(settings) as dsn:
        return asyncio.run(_from_database(dsn, wanted))


async def _from_database(dsn: str, wanted: Wanted) -> Found:
    from infra import databases
    from projections import read

    async with databases.reading(dsn) as connection:
        channel = await read.resolve_channel(connection, wanted.channel)
        epoch = channel and await read.epoch(connection, channel, wanted.epoch_start_s, wanted.revision)
        if not epoch:
            raise NotFound(f"{_described(wanted)}; 'twzrd export seals' lists what there is")
        blob = await read.body(connection, epoch.channel, epoch.epoch_start_s, epoch.revision)
        policy = await read.policy(connection, epoch.policy_hash)
    if blob is None or policy is None:
        raise NotFound(f"the database holds the seal of {epoch.channel} at {epoch.epoch_start_s} without its body")
    try:
        body = decode_body(blob)
    except SchemaError as error:
        raise NotFound(f"{_damaged(epoch.channel, epoch.epoch_start_s)}: {error}; {_MEND}") from error
    preimages = layout.leaf_preimages(epoch.channel, epoch.epoch_start_s, body.refs, body.counts)
    return Found(layout.decode_header(epoch.header), policy, preimages, _by_login(body.logins, body.identities))


_MEND: Final = "build the read models anew: twzrd project --rebuild sealed --replace"


def _described(wanted: Wanted) -> str:
    revision = "" if wanted.revision is None else f", revision {wanted.revision}"
    return f"no seal of channel {wanted.channel!r} at {wanted.epoch_start_s}{revision}"


def _damaged(channel: str, epoch_start_s: int) -> str:
    return f"the leaves of {channel} at {epoch_start_s} are damaged"
