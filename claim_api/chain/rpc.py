"""The port over the pool of RPC nodes: JSON-RPC answers in, the port's values out, or ChainAway.

A node whose answer has not the shape of its method has not answered: answers.py.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

from claim_api.chain import answers
from claim_api.chain.agreement import agreed
from claim_api.chain.answers import PAGE
from claim_api.chain.port import (
    MAX_ACCOUNTS,
    Account,
    Blockhash,
    ChainAway,
    Finding,
    LandedTransaction,
    Landing,
    Look,
    Status,
    Subject,
)
from streams.chain.rpc.errors import ChainCallError
from streams.chain.rpc.pool import RpcPool

T = TypeVar("T")
FINALIZED: Final = {"commitment": "finalized"}
PROCESSED: Final = "already been processed"
"""A node's words to a transaction that it has: no refusal."""
MAX_PAGES: Final = 10
"""Of an address's history: who names a marker ten thousand times only delays their own claim."""


class RpcChain:
    """claim_api.chain.port.Chain. pool: started and closed by the composition."""

    def __init__(self, pool: RpcPool) -> None:
        self._pool = pool
        self._marker_lamports: int | None = None

    async def latest_blockhash(self) -> Blockhash:
        # Confirmed: a finalized one is 13 s old, a processed one may be of a fork that dies.
        return await self._call("getLatestBlockhash", [{"commitment": "confirmed"}], answers.blockhash)

    async def block_height(self) -> int:
        heights, _ = await self._everywhere("getBlockHeight", [{"commitment": "processed"}], answers.number)
        return max(heights.values())

    async def finalized_height(self) -> int:
        heights, _ = await self._everywhere("getBlockHeight", [FINALIZED], answers.number)
        return min(heights.values())

    async def marker_lamports(self) -> int:
        if self._marker_lamports is None:
            self._marker_lamports = await self._call("getMinimumBalanceForRentExemption", [0], answers.number)
        return self._marker_lamports

    async def send(self, transaction: bytes) -> str | None:
        try:
            outcomes = await self._pool.send_everywhere(transaction, parse=answers.signature)
        except ChainCallError as error:
            raise ChainAway(str(error)) from error
        taken = (one.signature is not None or PROCESSED in str(one.error) for one in outcomes)
        if any(taken):
            return None
        refusals = [f"{one.name}: {one.error}" for one in outcomes if one.error is not None]
        if refusals:
            return _plain("; ".join(refusals))
        raise ChainAway("; ".join(f"{one.name}: {one.missing}" for one in outcomes)[:500])

    async def statuses(self, signatures: Sequence[str], *, history: bool) -> list[Status | None]:
        params = [list(signatures), {"searchTransactionHistory": history}]
        said, _ = await self._everywhere("getSignatureStatuses", params, answers.statuses_of(len(signatures)))
        return [agreed(several) for several in zip(*said.values(), strict=True)]

    async def look(self, subjects: Sequence[Subject]) -> Look:
        epochs, nodes = await self._everywhere("getEpochInfo", [FINALIZED], answers.epoch)
        heights = {name: one.height for name, one in epochs.items()}
        slot = min(one.slot for one in epochs.values())
        markers = [one.marker for one in subjects]
        # Seen at a slot where the height was reached, or later: a node that lags behind its own height would not know.
        accounts, _ = await self._everywhere(
            "getMultipleAccounts",
            [markers, {**FINALIZED, "encoding": "base64"}],
            answers.accounts_of(len(markers)),
            min_context_slot=slot,
        )
        marked = _present(markers, accounts.values())
        whole = heights.keys() & accounts.keys()
        found = set[str]()
        signatures = [one.signature for one in subjects if one.signature is not None]
        if signatures:
            params = [signatures, {"searchTransactionHistory": True}]
            histories, _ = await self._everywhere("getSignatureStatuses", params, answers.statuses_of(len(signatures)))
            found = _present(signatures, histories.values())
            whole &= histories.keys()
        enough = 2 * len(whole) > nodes
        least = min((heights[name] for name in whole), default=-1)
        return Look(slot, tuple(_finding(one, marked, found, enough, least) for one in subjects))

    async def landings(self, address: str) -> list[Landing]:
        found: list[Landing] = []
        config: dict[str, Any] = {**FINALIZED, "limit": PAGE}
        for _ in range(MAX_PAGES):
            page = await self._call("getSignaturesForAddress", [address, config], answers.landings)
            found += page
            if len(page) < PAGE:
                return found
            config["before"] = found[-1].signature
        raise ChainAway(f"{address} has more than {MAX_PAGES * PAGE} transactions; look at it by hand")

    async def all_landings(self, address: str, *, slot: int) -> list[Landing]:
        config = {**FINALIZED, "limit": PAGE}
        method = "getSignaturesForAddress"
        pages, nodes = await self._everywhere(method, [address, config], answers.landings, min_context_slot=slot)
        if 2 * len(pages) <= nodes:
            raise ChainAway(f"{method}: {len(pages)} of {nodes} nodes answer; more than half must")
        found: dict[str, Landing] = {}
        for page in pages.values():
            if len(page) >= PAGE:
                raise ChainAway(f"{address} has {PAGE} transactions or more; look at it by hand")
            for one in page:
                if one.signature not in found or one.error is None:
                    found[one.signature] = one
        return list(found.values())

    async def transaction(self, signature: str) -> LandedTransaction | None:
        config = {**FINALIZED, "encoding": "base64", "maxSupportedTransactionVersion": 0}
        return await self._call("getTransaction", [signature, config], answers.transaction_of(signature))

    async def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} addresses; at most {MAX_ACCOUNTS}")
        params = [list(addresses), {**FINALIZED, "encoding": "base64"}]
        return await self._call("getMultipleAccounts", params, answers.accounts_of(len(addresses)))

    async def supply_base_units(self, mint: str) -> int:
        return await self._call("getTokenSupply", [mint, FINALIZED], answers.supply)

    async def _call(self, method: str, params: Sequence[Any], parse: Callable[[bytes], T]) -> T:
        try:
            found: T = await self._pool.call(method, params, parse=parse)
            return found
        except ChainCallError as error:
            raise ChainAway(str(error)) from error

    async def _everywhere(
        self,
        method: str,
        params: Sequence[Any],
        parse: Callable[[bytes], T],
        *,
        min_context_slot: int | None = None,
    ) -> tuple[dict[str, T], int]:
        """Results by node, and how many nodes there are. Raises ChainAway without any result."""
        try:
            look = await self._pool.look_everywhere(method, params, parse=parse, min_context_slot=min_context_slot)
        except ChainCallError as error:
            raise ChainAway(str(error)) from error
        if not look.answers:
            raise ChainAway(f"{method}: {'; '.join(f'{name}: {why}' for name, why in look.missing.items())}"[:500])
        return look.answers, look.nodes


def _present(names: Sequence[str], by_node: Iterable[Sequence[object]]) -> set[str]:
    """Of these the ones that some node's answer knows."""
    return {name for one in by_node for name, known in zip(names, one, strict=True) if known is not None}


def _finding(one: Subject, marked: set[str], found: set[str], enough: bool, least_height: int) -> Finding:
    if one.marker in marked:
        return Finding.MARKED
    if one.signature in found:
        return Finding.FOUND
    if not enough:
        return Finding.UNKNOWN
    return Finding.DEAD if least_height > one.last_valid_block_height else Finding.ALIVE


def _plain(text: str) -> str:
    """A node's words as the ledger can keep them."""
    return text.replace("\0", "")[:500]
