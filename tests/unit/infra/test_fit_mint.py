"""The payer waits until the chain shows the mint, and does not begin with one that is not fit."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from solders.pubkey import Pubkey
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from claim_api.chain.port import Account, ChainAway
from infra.fit_mint import MintUnfit, wait_until_fit
from tests.payments import AUTHORITY, MINT, SERVER
from tests.unit.streams.chain.test_mint import ACCOUNT

MINTER = AUTHORITY.pubkey()
THERE = Account(1, str(TOKEN_2022_PROGRAM_ID), ACCOUNT)


class Answers:
    """One of them at each look."""

    def __init__(self, *answers: Account | ChainAway | None) -> None:
        self.left = list(answers)

    async def accounts(self, addresses: Sequence[str]) -> list[Account | None]:
        assert list(addresses) == [str(MINT.pubkey())]
        answer = self.left.pop(0)
        if isinstance(answer, ChainAway):
            raise answer
        return [answer]


async def looked(*answers: Any, minter: Pubkey | None = MINTER) -> list[Any]:
    chain: Any = Answers(*answers)
    await wait_until_fit(chain, MINT.pubkey(), minter, asyncio.Event())
    return list(chain.left)


async def test_a_chain_that_is_away_or_behind_is_asked_again() -> None:
    assert await looked(ChainAway("no node"), None, THERE) == []


async def test_a_stop_ends_the_waiting() -> None:
    stop, chain = asyncio.Event(), Answers()
    stop.set()
    await wait_until_fit(chain, MINT.pubkey(), None, stop)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("account", "words"),
    [
        (Account(1, str(TOKEN_PROGRAM_ID), ACCOUNT), "not to Token-2022"),
        (Account(1, str(TOKEN_2022_PROGRAM_ID), b"short"), "no initialised mint"),
    ],
)
async def test_what_is_no_mint_is_said(account: Account, words: str) -> None:
    with pytest.raises(MintUnfit, match=words):
        await looked(account)


async def test_another_authority_is_no_matter_to_a_treasury() -> None:
    with pytest.raises(MintUnfit, match="the signer's key is"):
        await looked(THERE, minter=SERVER.pubkey())
    assert await looked(THERE, minter=None) == []
