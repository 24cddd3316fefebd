"""The ledger of what was said: in memory bounded, in a folder complete, and read again by another process."""

from pathlib import Path

import numpy as np
import pytest

from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import SentLedger, SimulatedFeed, read_ledger
from streams.collect.twitch_sim.block import NO_EVENT, Block
from streams.collect.twitch_sim.ledger import LedgerError

START_MS = 1_767_225_600_000


@pytest.fixture(scope="module")
def block() -> Block:
    return next(iter(SimulatedFeed(Simulation(1, 8, 500), START_MS).blocks()))


def fill(ledger: SentLedger, block: Block) -> int:
    rows = np.arange(len(block))
    ledger.add(block, rows, 1, np.cumsum(np.diff(block.starts)), 5)
    ledger.add(block, rows[:100], 0, -1, 6)
    ledger.flushed[1] = int(block.starts[50])
    return int((block.kind != NO_EVENT).sum() + (block.kind[:100] != NO_EVENT).sum())


def test_a_row_says_what_was_said_to_whom_when_and_whether_it_left(block: Block) -> None:
    ledger = SentLedger([str(number) for number in range(8)])
    events = fill(ledger, block)
    rows = list(ledger)
    assert len(rows) == ledger.rows_total == events
    first = int(np.flatnonzero(block.kind != NO_EVENT)[0])
    facts = str(block.channel[first]), bytes(block.ids[first]), int(block.kind[first]), int(block.at[first])
    assert rows[0] == (*facts, 5, 1, True, True)
    heard = [row for row in rows if row.connection == 1]
    assert sum(row.flushed for row in heard) == int((block.kind[:50] != NO_EVENT).sum())
    assert all(row.written for row in heard)
    assert not any(row.written or row.flushed for row in rows if row.connection == 0)


def test_copies_and_cleared_rooms_are_no_rows(block: Block) -> None:
    ledger = SentLedger(["x"] * 8)
    assert (block.kind == NO_EVENT).any()
    ledger.add(block, np.flatnonzero(block.kind == NO_EVENT), 1, -1, 5)
    assert ledger.rows_total == 0


def test_in_memory_the_oldest_rows_are_forgotten_and_counted(block: Block) -> None:
    ledger = SentLedger(["x"] * 8, max_rows=150)
    for _ in range(5):
        ledger.add(block, np.flatnonzero(block.kind != NO_EVENT)[:60], 1, -1, 5)
    assert (ledger.rows_total, ledger.forgotten_rows, len(ledger.table())) == (300, 180, 120)


def test_a_folder_keeps_everything_for_another_process(block: Block, tmp_path: Path) -> None:
    memory, folder = SentLedger(["x"] * 8), SentLedger(["x"] * 8, tmp_path / "ledger", max_rows=10)
    fill(memory, block)
    fill(folder, block)
    assert list(folder) == list(memory)
    folder.close()
    assert list(read_ledger(tmp_path / "ledger")) == list(memory)


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="file"):
        SentLedger([], tmp_path / "file")
    with pytest.raises(LedgerError, match="ended in order"):
        read_ledger(tmp_path)
