"""The same real capture through `twzrd collect` and through `twzrd replay`: the same roots, counts and input digests.

Two months of four channels, said by the local Twitch within seconds, once with the capture's own times and once with
those of the moment. A collector claims nothing whose times are not its clock's, so only the latter says what was
observed; a replay never does.
"""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from schemas.envelope import decode
from schemas.sealed import SealedEpoch
from streams.collect.twitch_sim import Pace, RecordedFeed, SimOptions, TwitchSim
from streams.collect.twitch_sim.block import Block
from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_collect import ended, process
from tests.integration.cli.test_collect_hostile import read_to_here
from tests.integration.streams.collect.faults.test_two_collectors import ends, records
from tests.live import PEPPER, sealed_of
from tests.scripted_twitch import PATIENCE_S

pytestmark = pytest.mark.postgres

CAPTURE, LINES, CHANNEL_HOURS = "data/four_channels_2026-03_2026-04.irc.gz", 189_408, 474
SPEED = 2_000_000.0
"""Two months in about 3 s; the client reads as fast as it can."""
FACTS = ("root", "leaf_count", "total_messages", "total_weight_centi", "input_digest", "policy_hash")
Seal = tuple[str, int]


class Said:
    """Keeps what the server says, as it says it: the stage's listener."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def heard(self, block: Block, start: int, end: int, now_ms: int) -> None:
        self._file.write(block.data[block.starts[start] : block.starts[end]])

    def close(self) -> None:
        self._file.close()


async def collected(folder: Path, dsn: str, twitch: TwitchSim) -> dict[Seal, SealedEpoch]:
    """Seals of what a collector process put onto the log, all of whose hours are ended then."""
    (folder / "ca.pem").write_bytes(twitch.ca_pem)
    async with twitch:
        where = ("--server", f"{twitch.address[0]}:{twitch.address[1]}", "--ca", folder / "ca.pem")
        channels = ",".join(room.login for room in twitch.rooms.all)
        async with process(
            folder / "home", "collect", "--channels", channels, *where, "--json", TWZRD_DATABASE_URL=dsn
        ) as one:
            await asyncio.wait_for(twitch.finished(), 2 * PATIENCE_S)
            (session,) = twitch.sessions
            await read_to_here(session)
            one.send_signal(signal.SIGTERM)
            out, _ = await ended(one)
    last = json.loads(out.splitlines()[-1])
    assert (last["events"], last["lost"]) == (LINES, 0)
    seals: dict[Seal, SealedEpoch] = {}
    for of_partition in await records(dsn):
        values = [record.value for record in of_partition]
        seals |= sealed_of([*values, *ends([decode(value) for value in values])])
    return seals


def replayed(twzrd: Twzrd, file: Path, folder: Path) -> dict[Seal, dict[str, object]]:
    """The lines of seals.jsonl."""
    (folder / "pepper").write_text(PEPPER.hex() + "\n")
    (folder / "pepper").chmod(0o600)
    twzrd("replay", file, "--out", folder / "replayed", "--pepper-file", folder / "pepper")
    seals = map(json.loads, (folder / "replayed" / "seals.jsonl").read_text().splitlines())
    return {(one["channel"], one["epoch_start_s"]): one for one in seals}


def facts_of_seal(one: SealedEpoch) -> tuple[object, ...]:
    header = one.header
    return (
        header.root.hex(),
        header.leaf_count,
        header.total_messages,
        str(header.total_weight_centi),
        header.input_digest.hex(),
        header.policy_hash.hex(),
    )


def same_but_coverage(live: dict[Seal, SealedEpoch], file: dict[Seal, dict[str, object]]) -> None:
    assert {key: facts_of_seal(one) for key, one in live.items()} == {
        key: tuple(one[fact] for fact in FACTS) for key, one in file.items()
    }
    assert not any(one["coverage"] for one in file.values()), "a file says nothing of what was observed"


async def test_with_the_times_of_the_capture(twzrd: Twzrd, shared_dir: Path, tmp_path: Path, pg_dsn: str) -> None:
    capture = shared_dir / CAPTURE
    twitch = TwitchSim(RecordedFeed(capture), SimOptions(pace=Pace(SPEED, restamp=False), wait_joins=4))
    live = await collected(tmp_path, pg_dsn, twitch)
    same_but_coverage(live, await asyncio.to_thread(replayed, twzrd, capture, tmp_path))
    assert len(live) == CHANNEL_HOURS
    assert not any(one.coverage for one in live.values()), "months off its clock, the collector claims nothing"


async def test_with_the_times_of_the_moment(twzrd: Twzrd, shared_dir: Path, tmp_path: Path, pg_dsn: str) -> None:
    twitch = TwitchSim(RecordedFeed(shared_dir / CAPTURE), SimOptions(pace=Pace(SPEED), wait_joins=4))
    said = Said(tmp_path / "said.irc")
    twitch._stage.listeners.append(said)
    live = await collected(tmp_path, pg_dsn, twitch)
    said.close()
    file = await asyncio.to_thread(replayed, twzrd, tmp_path / "said.irc", tmp_path)
    same_but_coverage(live, file)
    assert {channel for channel, _ in live} == {f"twitch:id:{room.room_id}" for room in twitch.rooms.all}
    observed = {key: one for key, one in live.items() if any(kind == "live" for _, _, kind in one.coverage)}
    assert {channel for channel, _ in observed} == {channel for channel, _ in live}, "in one of its hours at least"
    assert all(one.header.coverage_hash.hex() != file[key]["coverage_hash"] for key, one in observed.items())
