"""Channels and sealed epochs as JSON.

In: a request and the index. Out: answers. What a revision says never changes, so it carries the seal's hash as its
strong ETag; `schemas` names of fields are kept, hashes are lowercase hex, weights strings of digits.
"""

from typing import Any, Final

import orjson

from claim_api.answer import IMMUTABLE, MOVING, Answer, json_answer, tagged
from claim_api.answer import LATEST as LATEST_CACHE
from claim_api.config import Bounds
from claim_api.errors import ApiError, malformed
from claim_api.index import LATEST, SealIndex
from claim_api.request import MAX_EPOCH_S, Request, page_rows, whole
from projections import read, rows
from projections.read import Database
from schemas import identity
from schemas.errors import SchemaError
from schemas.seal import decode_header

MAX_LOGIN: Final = 64
MAX_REVISION: Final = 2**16 - 1
MAX_POLICIES: Final = 1024


class PolicyTexts:
    """Canonical JSON of policies by hash; there are few, and they never change."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, bytes] = {}

    async def canonical(self, policy_hash: bytes) -> bytes:
        """Raises KeyError where the read models lack it, which their writer rules out."""
        found = self._known.get(policy_hash) or await read.policy(self._database, policy_hash)
        if found is None:
            raise KeyError(policy_hash.hex())
        if len(self._known) >= MAX_POLICIES:
            self._known.clear()
        self._known[policy_hash] = found
        return found


def channel_name(text: str) -> str:
    """A channel or viewer as asked for: its identity, or its login, lowercase. Raises ApiError 400."""
    if text.startswith("twitch:"):
        try:
            return identity.check(text)
        except SchemaError as error:
            raise malformed("name", text, "give a login, twitch:id:<digits> or twitch:login:<login>") from error
    if 0 < len(text) <= MAX_LOGIN and text.isprintable() and not any(c in text for c in " :/"):
        return identity.ascii_lower(text)
    raise malformed("name", text, "give a login, twitch:id:<digits> or twitch:login:<login>")


def epoch_start(text: str) -> int:
    """Seconds since 1970, UTC."""
    return whole("epoch_start_s", text, 0, MAX_EPOCH_S)


def revision_of(fields: dict[str, str]) -> int:
    """The revision asked for, LATEST where none is."""
    return whole("revision", fields["revision"], 0, MAX_REVISION) if "revision" in fields else LATEST


def cache_of(name: str, revision: int) -> bytes:
    """How long an answer about a channel's revision holds: for ever where both are named for good. A login is not: it
    may be another channel's tomorrow."""
    return IMMUTABLE if revision != LATEST and name.startswith("twitch:") else LATEST_CACHE


def summary(epoch: rows.Epoch) -> dict[str, Any]:
    """A seal in short, for lists and streams."""
    return {
        "channel": epoch.channel,
        "login": epoch.login,
        "epoch_start_s": epoch.epoch_start_s,
        "epoch_length_s": epoch.epoch_length_s,
        "revision": epoch.revision,
        "leaf_count": epoch.leaf_count,
        "total_weight_centi": str(epoch.total_weight_centi),
        "total_messages": epoch.total_messages,
        "observed_ms": epoch.observed_ms,
        "absent_ms": epoch.absent_ms,
        "root": epoch.root.hex(),
        "seal_hash": epoch.seal_hash.hex(),
    }


def detail(epoch: rows.Epoch, policy: bytes) -> bytes:
    """A seal with everything that its hash covers; nothing in it can differ between two servers."""
    header = decode_header(epoch.header)
    return orjson.dumps(
        {
            **summary(epoch),
            "policy_hash": header.policy_hash.hex(),
            "input_digest": header.input_digest.hex(),
            "coverage": epoch.coverage,
            "coverage_hash": header.coverage_hash.hex(),
            "pepper_commit": header.pepper_commit.hex(),
            "seal": epoch.header.hex(),
            "policy": orjson.Fragment(policy),
        }
    )


class EpochPages:
    """GET /v1/channels, /v1/channels/{c}/epochs and /v1/epochs/{c}/{t}."""

    def __init__(self, database: Database, index: SealIndex, policies: PolicyTexts, bounds: Bounds) -> None:
        self._database, self._index, self._policies, self._bounds = database, index, policies, bounds

    async def channels(self, request: Request) -> Answer:
        """By identity ascending; next_after asks for the following page."""
        fields = request.query(("after", "limit"))
        limit = page_rows(fields, self._bounds)
        found = await read.channels(self._database, fields.get("after", ""), limit)
        listed = [
            {
                "channel": one.channel,
                "login": one.login,
                "first_epoch_s": one.first_epoch_s,
                "last_epoch_s": one.last_epoch_s,
                "seals": one.seals,
                "stopped": one.stopped,
            }
            for one in found
        ]
        return json_answer(
            {"channels": listed, "next_after": found[-1].channel if len(found) == limit else None}, cache=MOVING
        )

    async def epochs(self, request: Request, name: str) -> Answer:
        """Newest first, each in its latest revision; next_before asks for the following page."""
        name = channel_name(name)
        fields = request.query(("before", "limit"))
        limit = page_rows(fields, self._bounds)
        before = whole("before", fields["before"], 0, MAX_EPOCH_S) if "before" in fields else None
        channel = await self._index.channel(name)
        found = await read.epochs(self._database, channel, before, limit)
        following = found[-1].epoch_start_s if len(found) == limit else None
        body = {"channel": channel, "epochs": [summary(one) for one in found], "next_before": following}
        return json_answer(body, cache=MOVING)

    async def newest(self, request: Request) -> Answer:
        """The latest hour that any channel has sealed."""
        request.query(())
        found = await read.newest_epoch(self._database)
        if found is None:
            raise ApiError(404, "no_epoch", "nothing is sealed yet", "try again when a channel's first hour is over")
        return json_answer(summary(found), cache=MOVING)

    async def epoch(self, request: Request, name: str, start: str) -> Answer:
        """One seal."""
        name, start_s = channel_name(name), epoch_start(start)
        revision = revision_of(request.query(("revision",)))
        epoch = await self._index.epoch(name, start_s, revision)
        policy = await self._policies.canonical(epoch.policy_hash)
        return tagged(detail(epoch, policy), b'"%s-seal"' % epoch.seal_hash.hex().encode(), cache_of(name, revision))
