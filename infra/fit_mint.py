"""Before anything is paid: is the configured mint one that claims can be paid in?

In: the cluster, the mint, who is to mint. Out: nothing, or MintUnfit. A chain that does not answer, or that has not
finalized the mint yet, is waited for.
"""

import asyncio
import logging
from typing import Final

from solders.pubkey import Pubkey

from claim_api.chain.port import Chain, ChainAway
from claim_api.retrying import Backoff
from schemas.errors import TwzrdError
from streams.chain.errors import ChainError
from streams.chain.mint import read_mint

_log: Final = logging.getLogger(__name__)


class MintUnfit(TwzrdError):
    """Claims cannot be paid in this mint; the message says why."""


async def wait_until_fit(chain: Chain, mint: Pubkey, minter: Pubkey | None, stop: asyncio.Event) -> None:
    """Returns when the mint is seen fit, or stop is set. minter: the authority's address; None where claims come out of
    a treasury. Raises MintUnfit."""
    backoff = Backoff()
    while not stop.is_set():
        try:
            [account] = await chain.accounts([str(mint)])
        except ChainAway as error:
            _log.warning("the mint cannot be looked at yet: %s", error)
        else:
            if account is not None:
                _check(mint, account.owner, account.data, minter)
                return
            _log.warning("no node has finalized the mint %s yet; if it stays so, make it: twzrd token create", mint)
        await backoff.wait(stop)


def _check(mint: Pubkey, owner: str, data: bytes, minter: Pubkey | None) -> None:
    try:
        faults = read_mint(Pubkey.from_string(owner), data).unfit(minter)
    except ChainError as error:
        faults = (str(error),)
    if faults:
        raise MintUnfit(f"TWZRD_MINT={mint} is not fit to pay claims in: {'; '.join(faults)}")
