"""A real `twzrd collect` on a server that says what no honest server says: it stays up, in bounded memory, counts every
kind where it belongs, and the chat that comes after is on the log."""

import asyncio
import json
import re
import signal
import socket
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from streams.collect.chunk import MAX_LINE_BYTES
from streams.collect.twitch_sim import Pace, Session, SimOptions, TwitchSim, dialect
from streams.collect.twitch_sim.hostile import KINDS
from streams.log.port import DEAD
from streams.log.postgres import PostgresLog
from tests.every_byte import PARTITIONS, of_stream
from tests.integration.cli.test_collect import ended, process
from tests.integration.cli.test_optout_leaves_no_trace import CHANNEL, CONTROL, Silent, message, on_the_log
from tests.scripted_twitch import PATIENCE_S

pytestmark = pytest.mark.postgres

ROUNDS = 3
PEAK_MB = 8.0
"""What the process may weigh more at its worst moment than before the first hostile line. One endless line is 32 MB,
and all that is sent is above 100 MB."""
SAID = re.compile(r"^twzrd_(\w+)_total(?:\{reason=\"(.+)\"\})? ([\d.e+]+)$", re.MULTILINE)
READING = frozenset(
    (
        "collect_bytes_skipped",
        "collect_control_lines_malformed",
        "collect_lines_over_limit",
        "collect_members_joined",
        "collect_members_parted",
        "collect_pongs_wrong",
        "collect_refusals",
        "intake_control_lines",
        "intake_lines",
        "intake_malformed_lines",
        "intake_room_clears",
        "intake_notices_without_user",
        "intake_shared_chat_copies",
    )
)
"""Counters that move when a line is read; others do when events are flushed, at times of their own."""
UNSAFE = re.compile(rb"[^\n\x20-\x7e]")


def _over_bytes(kind: str) -> int:
    """What of its one line is beyond the bound, the line end left out."""
    return sum(map(len, KINDS[kind](CHANNEL.encode()))) - 1 - (MAX_LINE_BYTES + 2)


_EACH = Counter(intake_lines=2, intake_control_lines=1)
"""The chat line and the PING that follow every kind."""
_CUT = Counter(intake_lines=1, intake_malformed_lines=1, collect_lines_over_limit=1)
EXPECTED = {
    "endless-line": _EACH + _CUT + Counter(collect_bytes_skipped=_over_bytes("endless-line")),
    "many-tags": _EACH + _CUT + Counter(collect_bytes_skipped=_over_bytes("many-tags")),
    "invalid-utf8": _EACH + Counter(intake_lines=3, intake_malformed_lines=2, intake_control_lines=1),
    "forged": _EACH
    + Counter(intake_lines=6, intake_malformed_lines=1, intake_control_lines=5)
    + Counter({"collect_members_joined": 1, "collect_members_parted": 1, "collect_refusals suspended": 1}),
    "control-bytes": _EACH + Counter(intake_lines=4, intake_malformed_lines=1, intake_control_lines=3),
    # Empty lines are neither; one of the others is a PONG.
    "nonsense": _EACH
    + Counter(intake_lines=20, intake_malformed_lines=9, intake_control_lines=8, collect_pongs_wrong=1),
}


def counted(port: int) -> Counter[str]:
    """What the process counts, by name, and by name and reason."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as answer:
        found = SAID.findall(answer.read().decode())
    numbers = Counter({f"{name} {reason}".strip(): int(float(value)) for name, reason, value in found})
    for name in ("intake_lines", "intake_control_lines"):  # answers to PINGs come when they come
        numbers[name] -= numbers["collect_pongs"]
    return Counter({name: value for name, value in numbers.items() if name.split()[0] in READING})


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def rss_mb(pid: int, which: str) -> float:
    """VmRSS: now; VmHWM: the most that it ever was."""
    found = re.search(rf"^{which}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def read_to_here(session: Session) -> None:
    """Until the client has taken in all that was said."""
    session.said_ping_s = asyncio.get_running_loop().time()
    session.outlet.put(dialect.PING)
    async with asyncio.timeout(PATIENCE_S):
        while _unanswered(session):  # noqa: ASYNC110 - the local Twitch does not tell
            await asyncio.sleep(0.01)


def _unanswered(session: Session) -> bool:
    assert not session.wire.ending
    return session.said_ping_s is not None


async def test_hostile_lines_are_counted_in_bounded_memory_and_what_comes_after_is_on_the_log(
    tmp_path: Path, pg_dsn: str
) -> None:
    environment = {"TWZRD_DATABASE_URL": pg_dsn, "TWZRD_PARTITIONS": str(PARTITIONS)}
    met: dict[str, Counter[str]] = {}
    async with TwitchSim(Silent(), SimOptions(pace=Pace(0), wait_joins=1)) as twitch:
        (tmp_path / "ca.pem").write_bytes(twitch.ca_pem)
        port = free_port()
        where = ("--server", f"{twitch.address[0]}:{twitch.address[1]}", "--ca", tmp_path / "ca.pem")
        arguments = ("collect", "--channels", CHANNEL, *where, "--metrics-port", port, "--json")
        async with process(tmp_path / "home", *arguments, **environment) as one:
            await asyncio.wait_for(twitch.finished(), PATIENCE_S)  # which it does once somebody has joined
            (session,) = twitch.sessions
            session.outlet.put(message(CONTROL, "before"))
            await read_to_here(session)
            before_mb, counts = rss_mb(one.pid, "VmHWM"), counted(port)
            for number in range(ROUNDS):
                for kind in KINDS:
                    twitch.misbehave.hostile(session, kind, CHANNEL)
                    session.outlet.put(message(CONTROL, f"after {kind} {number}"))
                    await read_to_here(session)
                    counts, earlier = counted(port), counts
                    said = counts - earlier
                    assert met.setdefault(kind, said) == said, kind
            peak_mb = rss_mb(one.pid, "VmHWM")
            one.send_signal(signal.SIGTERM)
            out, err = await ended(one)
    log = PostgresLog(pg_dsn, partitions=PARTITIONS)
    await log.open()
    held, dead = await on_the_log(log, CONTROL.id_of(f"after {kind} {number}")), await of_stream(log, DEAD)
    await log.close()

    assert met == EXPECTED
    assert peak_mb - before_mb < PEAK_MB, f"{before_mb:.1f} MB before, {peak_mb:.1f} MB at the most"
    assert all(CONTROL.id_of(f"after {kind} {number}").bytes in held for kind in KINDS for number in range(ROUNDS))
    last = json.loads(out.splitlines()[-1])
    assert (last["events"], last["lost"]) == (1 + ROUNDS * len(KINDS), 0), "none of the hostile lines is an event"
    letters = [json.loads(line) for line in dead.splitlines() if line.startswith(b'{"v"')]
    assert len(letters) == ROUNDS * sum(one["intake_malformed_lines"] for one in EXPECTED.values())
    assert all(line["level"] == "info" for line in map(json.loads, err.splitlines()))
    assert not UNSAFE.search((out + err).encode() + dead), "nothing from chat reaches a terminal unescaped"
