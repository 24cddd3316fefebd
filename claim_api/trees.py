"""Trees and leaf dumps of sealed epochs, made from the stored column block on first touch and kept by bytes.

In: rows of epochs. Out: ProvableEpoch objects and compressed dumps. Reading is awaited, the computing runs in threads,
so the event loop goes on; a tree whose root is not the seal's is never served.
"""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
import zstandard

from claim_api.config import Bounds
from claim_api.counters import Counters
from claim_api.epochs import PolicyTexts
from claim_api.errors import ApiError
from claim_api.flight import BuiltCache
from projections import read, rows
from projections.read import Database
from schemas.body import SealBody, decode_leaves, encode_body
from schemas.errors import SchemaError
from schemas.policy import DEFAULT_POLICY
from schemas.seal import LEAF_BYTES, LeafCounts, leaf_preimages
from streams.core.proofs import ProvableEpoch

TREE_BYTES_PER_LEAF: Final = 256
"""What a ProvableEpoch takes, rounded up; to refuse what could never be kept before it is read."""
DUMP_LEVEL: Final = 3
REHEARSED_LEAVES: Final = 16_384
"""About what a large channel's hour has."""
Key = tuple[str, int, int, bytes]
"""channel, epoch_start_s, revision, seal_hash: another seal may stand there when a database was restored."""


class Trees:
    """Both caches and the threads that fill them."""

    def __init__(self, database: Database, policies: PolicyTexts, bounds: Bounds, counters: Counters) -> None:
        self._database, self._policies, self._counters = database, policies, counters
        self._trees: BuiltCache[Key, ProvableEpoch] = BuiltCache(
            "proof_cache", bounds.proof_cache_bytes, bounds.builds, counters
        )
        self._dumps: BuiltCache[Key, bytes] = BuiltCache("dump_cache", bounds.dump_cache_bytes, bounds.builds, counters)
        self._threads = ThreadPoolExecutor(bounds.build_threads, thread_name_prefix="twzrd-api-build")

    def peek(self, epoch: rows.Epoch) -> ProvableEpoch | None:
        """The tree if it is there now."""
        return self._trees.get(_key(epoch))

    async def provable(self, epoch: rows.Epoch) -> ProvableEpoch:
        """The tree of a sealed epoch. Raises ApiError 503 at a bound, 500 where the stored leaves do not fit."""
        self._trees.check_size(epoch.leaf_count * TREE_BYTES_PER_LEAF, f"the tree of {epoch.leaf_count} leaves")
        return await self._trees.fetch(_key(epoch), lambda: self._build(epoch))

    async def dump(self, epoch: rows.Epoch) -> bytes:
        """The leaf dump, zstd over 96 B x leaf_count. Raises as `provable`."""
        self._dumps.check_size(epoch.leaf_count * LEAF_BYTES, f"the dump of {epoch.leaf_count} leaves")
        return await self._dumps.fetch(_key(epoch), lambda: self._compress(epoch))

    async def rehearse(self) -> None:
        """Build a tree of nobody, so that the first client does not wait for what is only slow once: the thread, its
        memory, the libraries' own first calls."""
        await asyncio.get_running_loop().run_in_executor(self._threads, _rehearsed)

    def close(self) -> None:
        """Ends builds under way."""
        self._trees.close()
        self._dumps.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _build(self, epoch: rows.Epoch) -> tuple[ProvableEpoch, int]:
        started = time.perf_counter()
        blob = await read.body(self._database, epoch.channel, epoch.epoch_start_s, epoch.revision)
        if blob is None:
            raise ApiError(503, "epoch_moved", "the epoch's leaves are being rebuilt", "try again in a few seconds")
        policy = await self._policies.canonical(epoch.policy_hash)
        loop = asyncio.get_running_loop()
        tree = await loop.run_in_executor(self._threads, _provable, epoch, blob, policy)
        self._counters.events["proof_cache_build_ms"] += round((time.perf_counter() - started) * 1000)
        return tree, tree.nbytes

    async def _compress(self, epoch: rows.Epoch) -> tuple[bytes, int]:
        tree = await self.provable(epoch)
        dump = await asyncio.get_running_loop().run_in_executor(self._threads, _compressed, tree)
        return dump, len(dump)


def _key(epoch: rows.Epoch) -> Key:
    return (epoch.channel, epoch.epoch_start_s, epoch.revision, epoch.seal_hash)


def _provable(epoch: rows.Epoch, blob: bytes, policy: bytes) -> ProvableEpoch:
    try:
        refs, counts = decode_leaves(blob)
        preimages = leaf_preimages(epoch.channel, epoch.epoch_start_s, refs, counts)
        tree = ProvableEpoch(epoch.header, policy, preimages)
    except SchemaError as error:
        raise _damaged(epoch, str(error)) from error
    if tree.tree.root != epoch.root:
        raise _damaged(epoch, f"they give root {tree.tree.root.hex()}")
    return tree


def _rehearsed() -> None:
    n = REHEARSED_LEAVES
    refs = np.zeros((n, 32), np.uint8)
    refs[:, :4] = np.arange(n, dtype=">u4").view(np.uint8).reshape(n, 4)
    counts = LeafCounts(*(np.zeros(n, form) for form in ("u8", "u4", "u4", "u4", "u4", "u8", "u8")))
    nobody = [""] * n
    times = np.zeros(n, np.int64)
    found, counted = decode_leaves(encode_body(SealBody(refs, nobody, nobody, counts, times, times)))
    ProvableEpoch(b"", DEFAULT_POLICY.canonical, leaf_preimages("", 0, found, counted))


def _damaged(epoch: rows.Epoch, fault: str) -> ApiError:
    return ApiError(
        500,
        "leaves_damaged",
        f"stored leaves of {epoch.channel} at {epoch.epoch_start_s} revision {epoch.revision} do not fit their seal: "
        f"{fault}",
        "rebuild the read models on the server: twzrd project --rebuild sealed --replace",
    )


def _compressed(tree: ProvableEpoch) -> bytes:
    return zstandard.ZstdCompressor(level=DUMP_LEVEL).compress(tree.leaves)
