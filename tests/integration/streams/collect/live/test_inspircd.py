"""A foreign server, Debian's inspircd: it refuses Twitch's capabilities and puts out who does not answer."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from streams.collect.live.connection import Endpoint, Timing
from streams.collect.live.keepalive import Deadlines
from streams.collect.live.tls import client_context
from tests.conftest import NO_INSPIRCD
from tests.integration.streams.collect.live.conftest import Collecting
from tests.integration.streams.collect.live.test_pool import all_observed, running
from tests.scripted_twitch import HOST, PATIENCE_S

PROGRAM = shutil.which("inspircd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
MODULES = Path("/usr/lib/inspircd/modules")
CONFIG = """
<server name="{name}.test" description="test" network="Test" id="{sid}">
<admin name="a" nick="a" email="a@irc.test">
<module name="ssl_gnutls"> <module name="cap"> <module name="ircv3"> <module name="spanningtree">
<sslprofile name="own" provider="gnutls" certfile="{folder}/cert.pem" keyfile="{folder}/key.pem">
<bind address="127.0.0.1" port="{port}" type="clients" sslprofile="own">
<bind address="127.0.0.1" port="{link_port}" type="servers">
<link name="{other}.test" ipaddr="127.0.0.1" port="{other_port}" allowmask="127.0.0.1" sendpass="p" recvpass="p">
{autoconnect}
<connect name="main" allow="*" timeout="10s" pingfreq="{ping_s}s" hardsendq="1M" recvq="8K" threshold="100"
         commandrate="100000" fakelag="no" localmax="100" globalmax="100" resolvehostnames="no" useident="no">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}" moduledir="{modules}">
<pid file="{folder}/{name}.pid">
<class name="all" commands="*" usermodes="*" chanmodes="*" privs="*">
<type name="Boss" classes="all">
<oper name="boss" password="boss" host="*@*" type="Boss">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{name}.log">
"""


class Inspircd:
    """One server, ended by its id."""

    def __init__(self, folder: Path, name: str, other: str, ports: dict[str, tuple[int, int]]) -> None:
        self.port, link_port = ports[name]
        self._config = folder / f"{name}.conf"
        # One of them calls the other: two calls at once would cross and both be dropped.
        autoconnect = f'<autoconnect period="1s" server="{other}.test">' if name < other else ""
        self._values = {"name": name, "other": other, "folder": folder, "modules": MODULES, "autoconnect": autoconnect}
        self._values |= {"sid": f"1A{name[0].upper()}", "port": self.port, "link_port": link_port}
        self._values |= {"other_port": ports[other][1]}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, ping_s: int = 60) -> None:
        """ping_s: who was silent that long is asked, and put out after as long again."""
        self._config.write_text(CONFIG.format(ping_s=ping_s, **self._values))
        assert PROGRAM is not None
        root = ["--runasroot"] if os.geteuid() == 0 else []
        command = [PROGRAM, "--nofork", *root, "--config", str(self._config)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


Servers = Callable[[str], Inspircd]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    return tmp_path


@pytest.fixture
def servers(folder: Path) -> Iterator[Servers]:
    if PROGRAM is None or not MODULES.is_dir():
        if os.environ.get("TWZRD_REQUIRE_INSPIRCD"):
            pytest.fail("TWZRD_REQUIRE_INSPIRCD is set, but inspircd is not installed")
        pytest.skip(NO_INSPIRCD + "inspircd is not installed; on Debian and Ubuntu: apt-get install inspircd")
    ports = {"one": (free_port(), free_port()), "two": (free_port(), free_port())}
    made = {"one": Inspircd(folder, "one", "two", ports), "two": Inspircd(folder, "two", "one", ports)}
    yield made.__getitem__
    for server in made.values():
        server.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Person:
    """Somebody else's client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())

    async def until(self, *parts: str, answering: bool = True) -> None:
        """Read until a line holds each of these."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                line = (await self._reader.readuntil(b"\n")).decode()
                if all(part in line for part in parts):
                    return
                if answering and line.startswith("PING"):
                    self.say("PONG" + line[4:].rstrip())


@asynccontextmanager
async def person(server: Inspircd, tls: ssl.SSLContext, nick: str) -> AsyncIterator[Person]:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                pair = await asyncio.open_connection(HOST, server.port, ssl=tls)
                break
            except OSError:
                await asyncio.sleep(0.05)  # it starts
    one = Person(*pair)
    one.say(f"NICK {nick}", f"USER {nick} 0 * :{nick}")
    await one.until(" 001 ")
    try:
        yield one
    finally:
        pair[1].transport.abort()


@pytest.fixture
def tls(folder: Path) -> ssl.SSLContext:
    return client_context(folder / "ca.pem")


def collecting(server: Inspircd, tls: ssl.SSLContext, seed: int, timing: Timing | None = None) -> Collecting:
    return Collecting(Endpoint(HOST, server.port, tls), seed, **({"timing": timing} if timing else {}))  # type: ignore[arg-type]


async def test_connect_refused_capabilities_join_and_talk(servers: Servers, tls: ssl.SSLContext, seed: int) -> None:
    server = servers("one")
    server.start()
    async with person(server, tls, "talker") as talker, running(collecting(server, tls, seed)) as one:
        talker.say("JOIN #ember")
        one.reconciler.want(frozenset({"ember"}))
        await talker.until("justinfan", "JOIN", "#ember")
        await all_observed(one, frozenset({"ember"}))
        talker.say("PRIVMSG #ember :hello there")
        await one.intake.until(lambda intake: [told.login for told in intake.of("chat")] == ["hello there"])
        assert one.metrics.capabilities_denied_total == 2
        assert one.metrics.pongs_wrong_total == 0


async def test_a_closed_channel_is_parked_by_its_numeric(servers: Servers, tls: ssl.SSLContext, seed: int) -> None:
    server = servers("one")
    server.start()
    async with person(server, tls, "owner") as owner, running(collecting(server, tls, seed)) as one:
        owner.say("JOIN #shut", "MODE #shut +i")
        await owner.until("MODE", "+i")
        one.reconciler.want(frozenset({"shut", "open"}))
        await one.reports.until("shut", "parked")
        await all_observed(one, frozenset({"open"}))
        assert one.metrics.refusals_total["not open to us"] == 1


async def test_killed_by_an_operator_it_comes_back(servers: Servers, tls: ssl.SSLContext, seed: int) -> None:
    server = servers("one")
    server.start()
    async with person(server, tls, "boss") as boss, running(collecting(server, tls, seed)) as one:
        one.reconciler.want(frozenset({"ember"}))
        await all_observed(one, frozenset({"ember"}))
        nick = one.pool.connections()[0].nick.decode()
        boss.say("OPER boss boss", f"KILL {nick} :go")
        await one.intake.until(lambda intake: intake.observed() == {("ember", 2)})
        assert one.metrics.connections_ended_total.total() == 1


async def test_a_server_that_dies_and_returns_is_found_again(servers: Servers, tls: ssl.SSLContext, seed: int) -> None:
    server = servers("one")
    server.start()
    async with person(server, tls, "witness"):
        pass
    async with running(collecting(server, tls, seed)) as one:
        one.reconciler.want(frozenset({"ember"}))
        await all_observed(one, frozenset({"ember"}))
        server.kill()
        await one.intake.until(lambda intake: not intake.observed())
        server.start()
        await all_observed(one, frozenset({"ember"}))
        assert one.metrics.channels_lost_total == 1


async def test_a_netsplit_loses_the_others_and_not_the_channel(
    servers: Servers, tls: ssl.SSLContext, seed: int
) -> None:
    ours, theirs = servers("one"), servers("two")
    ours.start()
    theirs.start()
    async with (
        person(theirs, tls, "far") as far,
        person(ours, tls, "near") as near,
        running(collecting(ours, tls, seed)) as one,
    ):
        near.say("JOIN #ember")
        far.say("JOIN #ember")
        await near.until("far!", "JOIN")  # the servers have linked
        one.reconciler.want(frozenset({"ember"}))
        await all_observed(one, frozenset({"ember"}))
        far.say("PRIVMSG #ember :from afar")
        await one.intake.until(lambda intake: len(intake.of("chat")) == 1)
        theirs.kill()
        await near.until("far!", "QUIT")
        near.say("PRIVMSG #ember :still here")
        await one.intake.until(lambda intake: len(intake.of("chat")) == 2)
        assert one.intake.observed() == {("ember", 1)}


async def test_who_does_not_answer_its_ping_is_put_out_and_we_are_not(
    servers: Servers, tls: ssl.SSLContext, seed: int
) -> None:
    """Own PINGs off, so that only our answers to the server's keep us there."""
    server = servers("one")
    server.start(ping_s=1)
    quiet = Timing(deadlines=Deadlines(ping_s=1_000))
    async with person(server, tls, "deaf") as deaf, running(collecting(server, tls, seed, quiet)) as one:
        one.reconciler.want(frozenset({"ember"}))
        await all_observed(one, frozenset({"ember"}))
        await deaf.until("Ping timeout", answering=False)
        async with person(server, tls, "later") as later:
            later.say("NAMES #ember")
            await later.until("353", "justinfan")
        assert one.intake.observed() == {("ember", 1)}
        assert one.metrics.pings_sent_total == 0


async def test_a_server_that_answers_no_ping_is_left_and_found_again(
    servers: Servers, tls: ssl.SSLContext, seed: int
) -> None:
    """It hangs, with its sockets open: only our own PING's deadline tells."""
    server = servers("one")
    server.start()
    soon = Timing(deadlines=Deadlines(ping_s=0.2, silent_s=1.0))
    async with person(server, tls, "witness"):
        pass
    async with running(collecting(server, tls, seed, soon)) as one:
        one.reconciler.want(frozenset({"ember"}))
        await all_observed(one, frozenset({"ember"}))
        server.signal(signal.SIGSTOP)
        await one.intake.until(lambda intake: not intake.observed())
        assert one.metrics.pings_sent_total > 0
        server.signal(signal.SIGCONT)
        await all_observed(one, frozenset({"ember"}))
