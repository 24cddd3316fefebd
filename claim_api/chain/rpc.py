"""The port over the pool of RPC nodes: JSON-RPC answers in, the port's values out, or ChainAway."""

import base64
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

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

FINALIZED: Final = {"commitment": "finalized"}
PAGE: Final = 1000
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
        value = (await self._call("getLatestBlockhash", [{"commitment": "confirmed"}]))["value"]
        return Blockhash(value["blockhash"], int(value["lastValidBlockHeight"]))

    async def block_height(self) -> int:
        answers, _ = await self._everywhere("getBlockHeight", [{"commitment": "processed"}])
        return max(int(height) for height in answers.values())

    async def finalized_height(self) -> int:
        answers, _ = await self._everywhere("getBlockHeight", [FINALIZED])
        return min(int(height) for height in answers.values())

    async def marker_lamports(self) -> int:
        if self._marker_lamports is None:
            self._marker_lamports = int(await self._call("getMinimumBalanceForRentExemption", [0]))
        return self._marker_lamports

    async def send(self, transaction: bytes) -> str | None:
        try:
            outcomes = await self._pool.send_everywhere(transaction)
        except ChainCallError as error:
            raise ChainAway(str(error)) from error
        taken = (one.signature is not None or PROCESSED in str(one.error) for one in outcomes)
        if any(taken):
            return None
        refusals = [f"{one.name}: {one.error}" for one in outcomes if one.error is not None]
        if refusals:
            return "; ".join(refusals)[:500]
        raise ChainAway("; ".join(f"{one.name}: {one.missing}" for one in outcomes)[:500])

    async def statuses(self, signatures: Sequence[str], *, history: bool) -> list[Status | None]:
        params = [list(signatures), {"searchTransactionHistory": history}]
        return [_status(one) for one in (await self._call("getSignatureStatuses", params))["value"]]

    async def look(self, subjects: Sequence[Subject]) -> Look:
        epochs, nodes = await self._everywhere("getEpochInfo", [FINALIZED])
        heights = {name: int(one["blockHeight"]) for name, one in epochs.items()}
        slot = min(int(one["absoluteSlot"]) for one in epochs.values())
        markers = [one.marker for one in subjects]
        # Seen at a slot where the height was reached, or later: a node that lags behind its own height would not know.
        accounts, _ = await self._everywhere(
            "getMultipleAccounts", [markers, {**FINALIZED, "encoding": "base64"}], min_context_slot=slot
        )
        marked = _present(markers, accounts.values())
        whole = heights.keys() & accounts.keys()
        found = set[str]()
        signatures = [one.signature for one in subjects if one.signature is not None]
        if signatures:
            params = [signatures, {"searchTransactionHistory": True}]
            histories, _ = await self._everywhere("getSignatureStatuses", params)
            found = _present(signatures, histories.values())
            whole &= histories.keys()
        enough = 2 * len(whole) > nodes
        least = min((heights[name] for name in whole), default=-1)
        return Look(slot, tuple(_finding(one, marked, found, enough, least) for one in subjects))

    async def landings(self, address: str) -> list[Landing]:
        found: list[Landing] = []
        config: dict[str, Any] = {**FINALIZED, "limit": PAGE}
        for _ in range(MAX_PAGES):
            page = await self._call("getSignaturesForAddress", [address, config])
            found += [Landing(one["signature"], int(one["slot"]), _error(one["err"])) for one in page]
            if len(page) < PAGE:
                return found
            config["before"] = found[-1].signature
        raise ChainAway(f"{address} has more than {MAX_PAGES * PAGE} transactions; look at it by hand")

    async def transaction(self, signature: str) -> LandedTransaction | None:
        config = {**FINALIZED, "encoding": "base64", "maxSupportedTransactionVersion": 0}
        found = await self._call("getTransaction", [signature, config])
        if found is None:
            return None
        return LandedTransaction(
            int(found["slot"]), _error(found["meta"]["err"]), base64.b64decode(found["transaction"][0])
        )

    async def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        if len(addresses) > MAX_ACCOUNTS:
            raise ValueError(f"{len(addresses)} addresses; at most {MAX_ACCOUNTS}")
        params = [list(addresses), {**FINALIZED, "encoding": "base64"}]
        value = (await self._call("getMultipleAccounts", params))["value"]
        return [None if one is None else _account(one) for one in value]

    async def supply_base_units(self, mint: str) -> int:
        return int((await self._call("getTokenSupply", [mint, FINALIZED]))["value"]["amount"])

    async def _call(self, method: str, params: Sequence[Any]) -> Any:
        try:
            return await self._pool.call(method, params)
        except ChainCallError as error:
            raise ChainAway(str(error)) from error

    async def _everywhere(
        self, method: str, params: Sequence[Any], *, min_context_slot: int | None = None
    ) -> tuple[dict[str, Any], int]:
        """Results by node, and how many nodes there are. Raises ChainAway without any result."""
        try:
            look = await self._pool.look_everywhere(method, params, min_context_slot=min_context_slot)
        except ChainCallError as error:
            raise ChainAway(str(error)) from error
        if not look.answers:
            raise ChainAway(f"{method}: {'; '.join(f'{name}: {why}' for name, why in look.missing.items())}"[:500])
        return look.answers, look.nodes


def _account(value: Any) -> Account:
    return Account(int(value["lamports"]), value["owner"], base64.b64decode(value["data"][0]))


def _present(names: Sequence[str], answers: Iterable[Any]) -> set[str]:
    """Of these the ones that some node's answer knows."""
    return {name for one in answers for name, known in zip(names, one["value"], strict=True) if known is not None}


def _finding(one: Subject, marked: set[str], found: set[str], enough: bool, least_height: int) -> Finding:
    if one.marker in marked:
        return Finding.MARKED
    if one.signature in found:
        return Finding.FOUND
    if not enough:
        return Finding.UNKNOWN
    return Finding.DEAD if least_height > one.last_valid_block_height else Finding.ALIVE


def _status(one: Any) -> Status | None:
    if one is None:
        return None
    return Status(int(one["slot"]), one.get("confirmationStatus") == "finalized", _error(one["err"]))


def _error(err: Any) -> str | None:
    """The chain's error as JSON text, "BlockhashNotFound" or {"InstructionError":[2,{"Custom":0}]}."""
    return None if err is None else orjson.dumps(err).decode()
