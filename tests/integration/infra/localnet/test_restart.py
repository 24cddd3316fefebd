"""What landed survives: a kill, a torn end of the journal, a stop of a day; damage is told."""

from pathlib import Path

import pytest
from solders.pubkey import Pubkey

from infra.localnet import Localnet, LocalnetOptions
from infra.localnet.chain import Chain
from infra.localnet.errors import LocalnetError
from infra.localnet.journal import Landed
from tests.localnet_client import PROCESSED, SOL, Client, Issuer, client

TO = Pubkey.from_bytes(b"\x21" * 32)


def options(folder: Path) -> LocalnetOptions:
    return LocalnetOptions(folder=folder, port=0, slot_ms=0)


async def pay_some(node: Client) -> list[str]:
    issuer = await Issuer.make(node)
    sent = []
    for number in range(3):
        sent.append((await node.send(await issuer.paying(issuer.terms(number))))["result"])
    failed = await node.send(await issuer.paying(issuer.terms(0, amount_base_units=1)), skipPreflight=True)
    return [*sent, failed["result"]]


async def test_the_same_chain_comes_back(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path)) as localnet, client(localnet.url) as node:
        sent = await pay_some(node)
        genesis, slot = await node.get("getGenesisHash"), localnet.chain.slot
        localnet.chain.advance()
        before = [await node.get("getTransaction", one) for one in sent]
        assert None not in before
    async with Localnet(options(tmp_path)) as again, client(again.url) as node:
        assert again.chain.replayed == 6
        assert again.chain.slot > slot
        assert await node.get("getGenesisHash") == genesis
        assert [await node.get("getTransaction", one) for one in sent] == before
        # And it goes on: what was paid cannot be paid again, what is new can.
        await node.get("requestAirdrop", str(TO), SOL)
        assert (await node.get("getBalance", str(TO), PROCESSED))["value"] == SOL


async def test_a_torn_end_is_cut_off_and_counted(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path)) as localnet, client(localnet.url) as node:
        await node.get("requestAirdrop", str(TO), SOL)
    journal = tmp_path / "journal"
    whole = journal.read_bytes()
    for cut in (1, 5, 11, 100):
        journal.write_bytes(whole[:-cut])
        async with Localnet(options(tmp_path)) as again:
            assert again.chain.journal.cut_bytes > 0
            assert len(again.chain.ledger) == 0
    journal.write_bytes(whole + b"\0" * 3)
    async with Localnet(options(tmp_path)) as again:
        assert again.chain.journal.cut_bytes == 3
        assert len(again.chain.ledger) == 1


async def test_damage_before_the_end_is_an_error(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path)) as localnet, client(localnet.url) as node:
        for _ in range(400):
            await node.get("requestAirdrop", str(TO), SOL)
    journal = tmp_path / "journal"
    whole = bytearray(journal.read_bytes())
    for at in (30, 60, 5_000):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        journal.write_bytes(damaged)
        with pytest.raises(LocalnetError, match=r"is damaged at byte \d+; move the folder away"):
            Chain(options(tmp_path)).open()
    journal.write_bytes(b"something else\n" * 10)
    with pytest.raises(LocalnetError, match="is no journal of ours"):
        Chain(options(tmp_path)).open()


async def test_a_journal_that_comes_to_something_else_is_refused(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path)) as localnet, client(localnet.url) as node:
        issuer = await Issuer.make(node)
        terms = issuer.terms(1)
        await node.send(await issuer.paying(terms))
        # As another LiteSVM might have judged.
        entry = localnet.chain.ledger.get((await node.send(await issuer.paying(issuer.terms(2))))["result"], 99)
        assert entry is not None
        localnet.chain.journal.write(Landed(entry.slot, entry.at_s, bytes(entry.transaction), b""))
    with pytest.raises(LocalnetError, match="came to success with solders"):
        Chain(options(tmp_path)).open()


async def test_one_folder_serves_one_cluster(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path)):
        with pytest.raises(LocalnetError, match="in use by another localnet"):
            Chain(options(tmp_path)).open()


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with Localnet(options(tmp_path / "a")) as first:
        taken = LocalnetOptions(folder=tmp_path / "b", port=first.port, slot_ms=0)
        with pytest.raises(LocalnetError, match=rf"cannot listen on 127.0.0.1:{first.port}"):
            async with Localnet(taken):
                pass


def test_a_cluster_that_was_down_comes_back_as_many_slots_later(tmp_path: Path) -> None:
    clock = [1_700_000_000_000]
    timed = LocalnetOptions(folder=tmp_path, slot_ms=400)
    chain = Chain(timed, now_ms=lambda: clock[0])
    chain.open()
    first = chain.blockhashes.of(chain.slot)
    chain.close()
    clock[0] += 86_400_000
    again = Chain(timed, now_ms=lambda: clock[0])
    again.open()
    assert again.slot == 1 + 86_400_000 // 400 + 1
    assert not again.blockhashes.valid_at(first, again.slot)
    # The wall clock may go back; slots never do.
    slot = again.slot
    clock[0] -= 3_600_000
    again.tick()
    assert again.slot == slot
    again.close()
    third = Chain(timed, now_ms=lambda: clock[0])
    third.open()
    assert third.slot > slot
    third.close()
