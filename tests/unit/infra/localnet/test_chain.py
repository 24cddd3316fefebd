"""The chain without its server: older slots see what was then, and what is too old to be seen is forgotten."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from infra.localnet.bank import KEPT_SLOTS
from infra.localnet.chain import Chain
from infra.localnet.errors import LocalnetError
from infra.localnet.options import LocalnetOptions

TO = Pubkey.from_bytes(b"\x21" * 32)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    made = Chain(LocalnetOptions(folder=tmp_path, slot_ms=0, max_entries=3))
    made.open()
    yield made
    made.close()


def fund(chain: Chain, lamports: int) -> None:
    assert chain.land(chain.airdrop(TO, lamports)) is not None


def balance(chain: Chain, slot: int) -> int | None:
    account = chain.bank.account(TO, slot)
    return None if account is None else account.lamports


def test_each_slot_sees_the_account_as_it_was_at_its_end(chain: Chain) -> None:
    first = chain.slot
    wanted: dict[int, int | None] = {first - 1: None}
    total = 0
    for step in range(6):
        if step % 2 == 0:  # two changes in one slot, then a slot without any
            fund(chain, 10**9)
            fund(chain, 10**9)
            total += 2 * 10**9
        wanted[chain.slot] = total
        chain.advance()
    assert {slot: balance(chain, slot) for slot in wanted} == wanted


def test_changes_too_old_to_be_seen_are_forgotten(chain: Chain) -> None:
    for _ in range(3):
        fund(chain, 10**9)
        chain.advance()
    assert chain.bank._before
    chain.advance(KEPT_SLOTS + 1)
    assert not chain.bank._before
    assert not chain.bank._changed
    assert balance(chain, chain.slot) == 3 * 10**9


def test_the_oldest_transactions_are_forgotten_and_counted(chain: Chain) -> None:
    for _ in range(5):
        fund(chain, 10**9)
    assert len(chain.ledger) == 3
    assert chain.ledger.forgotten_total == 2
    assert len(chain.ledger.of_address(TO, chain.slot)) == 3


def test_a_full_disk_ends_it_with_a_whole_journal(chain: Chain, tmp_path: Path) -> None:
    fund(chain, 10**9)
    own, chain.journal._descriptor = chain.journal._descriptor, os.open("/dev/full", os.O_WRONLY)
    try:
        with pytest.raises(LocalnetError, match=r"cannot write .*No space left on device; is the disk full"):
            fund(chain, 10**9)
    finally:
        os.close(chain.journal._descriptor)
        chain.journal._descriptor = own
    assert chain.land(chain.airdrop(TO, 10**9)) is None
    chain.close()
    again = Chain(LocalnetOptions(folder=tmp_path, slot_ms=0))
    again.open()
    assert balance(again, again.slot) == 10**9
    again.close()
