"""Proof bundles and leaf downloads over HTTP.

In: a request naming an epoch and a ref (public) or a viewer (with the operator's key). Out: a bundle that a stranger
checks offline. The hit path asks nobody: index, tree and pieces of the bundle are in memory.
"""

from typing import Final

from claim_api.answer import JSON, PRIVATE, Answer, answer, tagged
from claim_api.config import ApiConfig
from claim_api.epochs import cache_of, channel_name, epoch_start, revision_of
from claim_api.errors import ApiError
from claim_api.index import SealIndex
from claim_api.request import Request, hex32, whole
from claim_api.trees import Trees
from projections import read, rows
from projections.read import Database
from schemas import identity, seal
from schemas.bundle import ViewerOpening

FIELDS: Final = frozenset({"ref", "viewer", "index", "revision"})
MAX_INDEX: Final = 2**32 - 1
MAX_BEARERS: Final = 16
"""Viewers who bore a login, latest first, that are looked for in an epoch."""


class ProofPages:
    """GET /v1/epochs/{c}/{t}/proof and /v1/epochs/{c}/{t}/leaves."""

    def __init__(self, config: ApiConfig, database: Database, index: SealIndex, trees: Trees) -> None:
        self._database, self._index, self._trees = database, index, trees
        self._pepper, self._operator_key = config.pepper, config.operator_key
        self._pepper_commit = None if config.pepper is None else seal.pepper_commit(config.pepper)

    async def proof(self, request: Request, name: str, start: str) -> Answer:
        """Presence or absence of ?ref= or ?viewer= in an epoch; presence of the leaf of ?index=."""
        fields = request.query(FIELDS)
        if ("ref" in fields) + ("viewer" in fields) + ("index" in fields) != 1:
            raise ApiError(400, "malformed", "the query names none of ref, viewer, index, or several", "give one")
        start_s, revision = epoch_start(start), revision_of(fields)
        if "index" in fields:
            index = whole("index", fields["index"], 0, MAX_INDEX)
            found = await self._index.epoch(channel_name(name), start_s, revision)
            return await self._indexed_proof(found, index, cache_of(name, revision))
        if "viewer" in fields:
            request.check_operator(self._operator_key)
            viewer = channel_name(fields["viewer"])
            return await self._viewer_proof(await self._index.epoch(channel_name(name), start_s, revision), viewer)
        ref = hex32("ref", fields["ref"])
        # A name that the index knows has been checked before.
        epoch = self._index.peek(name, start_s, revision)
        if epoch is None:
            epoch = await self._index.epoch(channel_name(name), start_s, revision)
        tree = self._trees.peek(epoch) or await self._trees.provable(epoch)
        etag = f'"{epoch.seal_hash.hex()}-proof-{fields["ref"]}"'.encode()
        return tagged(tree.prove_json(ref), etag, cache_of(name, revision))

    async def opened(self, channel: str, epoch_start_s: int, revision: int, viewer: str) -> Answer:
        """Presence or absence of a viewer (an identity) who asks for it themselves: private, opened with the epoch's
        key. Raises ApiError 404, 409, 501, 503."""
        return await self._viewer_proof(await self._index.epoch(channel, epoch_start_s, revision), viewer)

    async def leaves(self, request: Request, name: str, start: str) -> Answer:
        """The public leaf dump, zstd."""
        revision = revision_of(request.query(("revision",)))
        epoch = await self._index.epoch(channel_name(name), epoch_start(start), revision)
        dump = await self._trees.dump(epoch)
        etag = b'"%s-leaves"' % epoch.seal_hash.hex().encode()
        made = tagged(dump, etag, cache_of(name, revision), b"application/zstd")
        filename = f"{epoch.epoch_start_s}.{epoch.revision}.leaves.zst"
        made.headers.append((b"content-disposition", f'attachment; filename="{filename}"'.encode()))
        return made

    async def _indexed_proof(self, epoch: rows.Epoch, index: int, cache: bytes) -> Answer:
        tree = self._trees.peek(epoch) or await self._trees.provable(epoch)
        ref = tree.ref_at(index)
        if ref is None:
            raise ApiError(
                404, "unknown_leaf", f"the epoch has no leaf {index}", f"its leaves are 0 to {epoch.leaf_count - 1}"
            )
        etag = f'"{epoch.seal_hash.hex()}-proof-{ref.hex()}"'.encode()
        return tagged(tree.prove_json(ref), etag, cache)

    async def _viewer_proof(self, epoch: rows.Epoch, viewer: str) -> Answer:
        header = seal.decode_header(epoch.header)
        if self._pepper is None:
            raise ApiError(
                501,
                "no_pepper",
                "this server has no pepper, so it cannot find a viewer's leaf",
                "start it with the pepper, or ask by ref",
            )
        if self._pepper_commit != header.pepper_commit:
            raise ApiError(
                409,
                "other_pepper",
                f"the epoch was sealed with another pepper, of commit {header.pepper_commit.hex()}",
                "start the server with that pepper, or ask by ref",
            )
        tree = self._trees.peek(epoch) or await self._trees.provable(epoch)
        bearers = [viewer] if viewer.startswith("twitch:") else await self._bearers(viewer)
        openings = [self._opening(one, epoch, self._pepper) for one in bearers]
        ref, opening = next((found for found in openings if tree.index_of(found[0]) is not None), openings[0])
        return answer(tree.prove_json(ref, opening), JSON, PRIVATE)

    async def _bearers(self, login: str) -> list[str]:
        """Who may be meant by a login: whoever bore it, latest first; else the viewer known by login only."""
        spans = await read.identities_of_login(self._database, login)
        return [span.identity for span in spans[:MAX_BEARERS]] or [identity.of_login(login)]

    @staticmethod
    def _opening(viewer: str, epoch: rows.Epoch, pepper: bytes) -> tuple[bytes, ViewerOpening]:
        key = seal.epoch_key(seal.viewer_key(viewer, pepper), seal.epoch_tag(epoch.channel, epoch.epoch_start_s))
        return seal.viewer_ref(viewer, key), ViewerOpening(identity=viewer, epoch_key=key.hex())
