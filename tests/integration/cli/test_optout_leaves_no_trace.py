"""A viewer who opted out leaves no trace in anything that is written: the whole of it is searched, byte by byte.

`twzrd collect`, `archive` and `raw` as processes of their own, with message text kept, on the local Twitch and a
Postgres that is killed meanwhile, so that the spool is used. A viewer who did not opt out does the same and is found.
"""

import asyncio
import json
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from infra.postgres import EmbeddedPostgres
from streams.collect.simulation import Simulation
from streams.collect.twitch_sim import Pace, SimOptions, SimulatedFeed, TwitchSim
from streams.collect.twitch_sim.block import Block
from streams.log.port import CHAT_EVENTS, CHAT_TEXT, DEAD, EPOCH_SEALED
from streams.log.postgres import PostgresLog
from tests.every_byte import PARTITIONS, of_folder, of_stream, of_table, traces
from tests.integration.cli.conftest import Twzrd
from tests.integration.cli.test_collect import process
from tests.integration.matrix.servers import postmaster

pytestmark = pytest.mark.postgres

PATIENCE_S = 60.0
EFFECTIVE_S = 5.0
"""What docs/control.md promises."""
CHANNEL, ROOM = "ember", 900_001


class Viewer(NamedTuple):
    """Somebody, and the word that nobody else says."""

    login: str
    user_id: int
    word: str

    @property
    def words(self) -> list[str]:
        return [self.login, str(self.user_id), self.word]

    def id_of(self, what: str) -> uuid.UUID:
        return uuid.uuid5(uuid.NAMESPACE_OID, f"{self.login}/{what}")


BY_LOGIN = Viewer("mute_by_login", 7_100_000_113, "xylophone")
BY_ID = Viewer("mute_by_id", 7_200_000_227, "quagmire")
CONTROL = Viewer("heard_by_all", 7_300_000_331, "marzipan")
ON_THE_WAY = Viewer("changes_mind", 7_400_000_441, "rutabaga")
NEVER_HEARD = Viewer("only_deleted", 7_500_000_557, "saxifrage")
SPOOLED = Viewer("waits_in_spool", 7_600_000_661, "tamarind")
BEFORE_RAW = Viewer("on_log_only", 7_700_000_773, "vermilion")
KINDS = ("message", "cheer", "raid", "sub", "gift")


class Silent:
    """The rooms of a simulation in which nobody says anything by themselves."""

    def __init__(self) -> None:
        self.rooms = SimulatedFeed(Simulation(1, 2, 10), 1_767_225_600_000).rooms

    def blocks(self) -> Iterator[Block]:
        return iter(())


def message(who: Viewer, what: str, *, tags: str = "", text: str = "") -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return (
        f"@{tags}badges=;display-name={who.login};id={who.id_of(what)};room-id={ROOM};tmi-sent-ts={now_ms};"
        f"user-id={who.user_id} :{who.login}!{who.login}@{who.login}.tmi.twitch.tv PRIVMSG #{CHANNEL} "
        f":{text or who.word}\r\n"
    ).encode()


def notice(who: Viewer, what: str, msg_id: str, tags: str = "") -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return (
        f"@badges=;display-name={who.login};id={who.id_of(what)};login={who.login};msg-id={msg_id};{tags}"
        f"room-id={ROOM};system-msg={who.login}\\s{who.word};tmi-sent-ts={now_ms};user-id={who.user_id} "
        f":tmi.twitch.tv USERNOTICE #{CHANNEL} :{who.word}\r\n"
    ).encode()


def deletion(who: Viewer, what: str) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return (
        f"@login={who.login};room-id=;target-msg-id={who.id_of(what)};tmi-sent-ts={now_ms} "
        f":tmi.twitch.tv CLEARMSG #{CHANNEL} :{who.word}\r\n"
    ).encode()


def doings(who: Viewer, round_: str) -> list[bytes]:
    """All that a viewer can do and have done to them, and lines about them that do not read."""
    login, word, user_id, now_ms = who.login, who.word, who.user_id, time.time_ns() // 1_000_000
    deleted = who.id_of(f"{round_} message")
    source = f":{login}!{login}@{login}.tmi.twitch.tv"
    return [
        message(who, f"{round_} message"),
        message(who, f"{round_} cheer", tags="bits=100;", text=f"Cheer100 {word}"),
        notice(who, f"{round_} raid", "raid", f"msg-param-login={login};msg-param-viewerCount=12;"),
        notice(who, f"{round_} sub", "sub", "msg-param-sub-plan=1000;"),
        notice(who, f"{round_} gift", "subgift", "msg-param-recipient-id=5;msg-param-recipient-user-name=x;"),
        deletion(who, f"{round_} message"),
        *(
            line.encode() + b"\r\n"
            for line in (
                f"@ban-duration=60;room-id={ROOM};target-user-id={user_id};tmi-sent-ts={now_ms} "
                f":tmi.twitch.tv CLEARCHAT #{CHANNEL} :{login}",
                # Shared chat, without time, ids that are none, no channel, no text, commands that do not exist.
                f"@id={deleted};room-id={ROOM};source-room-id=77;tmi-sent-ts={now_ms};user-id={user_id} {source} "
                f"PRIVMSG #{CHANNEL} :{word}",
                f"{source} PRIVMSG #{CHANNEL} :{word}",
                f"@room-id={ROOM};tmi-sent-ts={now_ms};user-id={login}{word} {source} PRIVMSG #{CHANNEL} :{word}",
                f"@room-id={ROOM};tmi-sent-ts={word};user-id={user_id} {source} PRIVMSG #{CHANNEL} :{word}",
                f"@tmi-sent-ts={now_ms};user-id={user_id} {source} PRIVMSG {word} :{login}",
                f"@room-id={ROOM};tmi-sent-ts={now_ms};user-id={user_id} {source} PRIVMSG #{CHANNEL}",
                f"@bits={word};room-id={ROOM};tmi-sent-ts={now_ms};user-id={user_id} {source} PRIVMSG #{CHANNEL} :hi",
                f"@user-id={user_id} {source} {word.upper()} #{CHANNEL} :{login}",
                f"@login={login}\\s{word};tmi-sent-ts={now_ms} :tmi.twitch.tv CLEARMSG #{CHANNEL} :{word}",
                # Not chat: what a connection looks at.
                f"{source} JOIN #{CHANNEL}",
                f"{source} PART #{CHANNEL} :{word}",
                f"{source} WHISPER justinfan1 :{word}",
                f"@msg-id=unhost_{word} :tmi.twitch.tv NOTICE #{CHANNEL} :{login} is {word}",
                f":tmi.twitch.tv 353 justinfan1 = #{CHANNEL} :{login}",
                f":tmi.twitch.tv CAP * NAK :{login} {word}",
                f":tmi.twitch.tv PONG tmi.twitch.tv :{login} {word}",
            )
        ),
        b"@user-id=%d;room-id=%d;%s=\xff\xfe :%s!\x00\x1b[31m %s\r\n"
        % (user_id, ROOM, word.encode(), login.encode(), word.encode()),
    ]


def ids_of(who: Viewer, *rounds: str) -> list[uuid.UUID]:
    return [who.id_of(f"{round_} {kind}") for round_ in rounds for kind in KINDS]


async def on_the_log(log: PostgresLog, event: uuid.UUID, stream: str = CHAT_EVENTS) -> bytes:
    """What the log holds of chat, or of its text, once that event is there."""
    after, held = [0] * (PARTITIONS if stream == CHAT_EVENTS else 1), b""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            for partition, start in enumerate(after):
                for record in await log.read(stream, partition, start, wait_ms=50):
                    after[partition] = record.offset + 1
                    held += record.value
            if event.bytes in held:
                return held


async def in_files(folder: Path, event: uuid.UUID) -> bytes:
    """Their bytes, once they hold that event."""
    async with asyncio.timeout(PATIENCE_S):
        while event.bytes not in (held := of_folder(folder)):  # noqa: ASYNC110 - files do not tell
            await asyncio.sleep(0.02)
    return held


async def test_who_opted_out_leaves_no_trace_anywhere_and_within_5_s_of_saying_so(twzrd: Twzrd, tmp_path: Path) -> None:
    home = tmp_path / "home"
    server = EmbeddedPostgres(tmp_path / "pg", durable=False)
    dsn = await asyncio.to_thread(server.start)
    environment = {
        "TWZRD_DATABASE_URL": dsn,
        "TWZRD_PARTITIONS": str(PARTITIONS),
        "TWZRD_KEEP_TEXT": "on",
        "TWZRD_LOG_LEVEL": "debug",
    }
    written: dict[str, bytes] = {}

    async def run(*arguments: str) -> None:
        ran = await asyncio.to_thread(twzrd, *arguments, **environment)
        if arguments[0] != "optout":  # that names the viewer: it must
            written[f"output of {' '.join(arguments)}"] = (ran.out + ran.err).encode()

    try:
        await run("optout", "add", BY_LOGIN.login)
        async with TwitchSim(Silent(), SimOptions(pace=Pace(0))) as twitch:
            ca = tmp_path / "ca.pem"
            ca.write_bytes(twitch.ca_pem)
            where = ("--server", f"{twitch.address[0]}:{twitch.address[1]}", "--ca", ca)
            async with process(home, "collect", "--channels", CHANNEL, *where, "--json", **environment) as one:
                output = asyncio.create_task(one.communicate())
                async with asyncio.timeout(PATIENCE_S):
                    while not any(session.joined.any() for session in twitch.sessions):
                        await asyncio.sleep(0.02)
                        assert not output.done(), output.result()
                (session,) = twitch.sessions

                def say(*lines: bytes) -> None:
                    session.outlet.put(b"".join(lines))

                log = PostgresLog(dsn, partitions=PARTITIONS)
                await log.open()
                say(message(BEFORE_RAW, "before"), deletion(BEFORE_RAW, "before"))
                say(message(ON_THE_WAY, "before"))
                await on_the_log(log, ON_THE_WAY.id_of("before"))

                # Said while everything runs, by id and by login; the latter talks on until they are not heard any more.
                await run("optout", "add", f"twitch:id:{BY_ID.user_id}")
                await run("optout", "add", f"twitch:id:{NEVER_HEARD.user_id}")
                await run("optout", "add", ON_THE_WAY.login)
                opted_out_s, number = time.monotonic(), 0
                while True:
                    say(message(ON_THE_WAY, f"after {number}"), message(CONTROL, f"beside {number}"))
                    held = await on_the_log(log, CONTROL.id_of(f"beside {number}"))
                    if ON_THE_WAY.id_of(f"after {number}").bytes not in held:
                        break
                    number += 1
                assert time.monotonic() - opted_out_s < EFFECTIVE_S
                for who in (BY_LOGIN, BY_ID, CONTROL, ON_THE_WAY):
                    say(*doings(who, "running"))
                say(deletion(NEVER_HEARD, "running"))  # all that ever comes of them
                say(message(CONTROL, "running last"))
                await on_the_log(log, CONTROL.id_of("running last"))
                await on_the_log(log, CONTROL.id_of("running last"), CHAT_TEXT)  # text is not spooled
                await log.close()

                # And while the log is away.
                kills = postmaster(server)
                await asyncio.to_thread(kills._kill)
                for who in (BY_LOGIN, BY_ID, ON_THE_WAY, SPOOLED, CONTROL):
                    say(*doings(who, "away"))
                say(deletion(NEVER_HEARD, "away"))
                written["spool"] = await in_files(home / "collect" / "spool", CONTROL.id_of("away gift"))
                # The log is back for its operator before it is for the collector.
                one.send_signal(signal.SIGSTOP)
                assert await asyncio.to_thread(server.start) == dsn
                await run("optout", "add", f"twitch:id:{SPOOLED.user_id}")
                one.send_signal(signal.SIGCONT)
                log = PostgresLog(dsn, partitions=PARTITIONS)
                await log.open()
                await on_the_log(log, CONTROL.id_of("away gift"))
                one.send_signal(signal.SIGTERM)
                async with asyncio.timeout(PATIENCE_S):
                    out, err = await output
                assert one.returncode == 0, err.decode()
                written["output of collect"] = out + err
        await run("optout", "add", f"twitch:id:{BEFORE_RAW.user_id}")
        await run("archive", "--once")
        await run("raw", "--once")
        for stream in (CHAT_EVENTS, CHAT_TEXT, DEAD, EPOCH_SEALED):
            written[stream] = await of_stream(log, stream)
        await log.close()
        for table in ("twitch_events_raw", "twitch_messages_raw", "raw_day_files", "viewer_snapshots"):
            written[table] = await of_table(dsn, table)
        written["archive"] = of_folder(home / "archive")
        written["day files"] = of_folder(home / "raw")
        written["home"] = of_folder(home)
    finally:
        await asyncio.to_thread(server.stop)

    rounds = ("running", "away")
    gone = [*ids_of(BY_LOGIN, *rounds), *ids_of(BY_ID, *rounds), *ids_of(ON_THE_WAY, *rounds)]
    assert traces(written, [*BY_LOGIN.words, *BY_ID.words, *NEVER_HEARD.words], gone) == []
    assert traces({"spool": written.pop("spool")}, [SPOOLED.login], []), "written before they said so"
    assert traces(written, SPOOLED.words, ids_of(SPOOLED, "away")) == []
    raw = {place: written[place] for place in ("twitch_events_raw", "twitch_messages_raw", "day files")}
    assert traces({"log": written[CHAT_EVENTS]}, [BEFORE_RAW.login], []), "what stood on the log stays there"
    assert traces(raw, BEFORE_RAW.words, [BEFORE_RAW.id_of("before")]) == []
    assert traces({"log": written[CHAT_EVENTS]}, [], [ON_THE_WAY.id_of("before")]), "heard until they said so"

    # The search can find: who did the same and did not opt out stands everywhere but where nobody may.
    ids = ids_of(CONTROL, *rounds)
    found = {place for place, _ in traces(written, CONTROL.words, ids)}
    events, texts = {CHAT_EVENTS, "archive", "twitch_events_raw"}, {CHAT_TEXT, "twitch_messages_raw"}
    assert found == {*events, *texts, "day files", "home"}
    for place in events:
        assert {trace for _, trace in traces({place: written[place]}, [], ids)} == {f"event {one}" for one in ids}
    letters = [json.loads(line) for line in written[DEAD].splitlines() if line.startswith(b'{"v"')]
    assert len(letters) > 4 * 2 * 6, "malformed lines were said, and each has its letter"
