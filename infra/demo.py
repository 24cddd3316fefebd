"""`twzrd demo`: simulated chat through log, fold, seal and projections on one machine, a proof over HTTP, and a claim
that is paid on a chain of its own (demo_chain, demo_claim)."""

import asyncio
import contextlib
import dataclasses
import shlex
import time
from pathlib import Path
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from infra import claiming, compose, databases, demo_claim, one_supervisor
from infra.cli.output import harmless
from infra.demo_chain import DemoError, prepare
from infra.keys import read_operator_key
from infra.ports import free_port
from infra.settings import Settings
from infra.stopping import run_unless_stopped, stop_on_signals
from infra.supervisor import Part, Supervisor, parts_of
from projections import read
from schemas import bundle as bundles
from schemas.envelope import MAX_INTERVAL_MS, encode
from schemas.policy import PolicySchedule
from streams.collect.simulation import Envelopes, Simulation
from streams.core.verify import verify_bundle
from streams.log.port import CHAT_EVENTS, Append, Log

SEED: Final = 20261123
BATCH: Final = 250
PATIENCE_S: Final = 120.0
LOOK_S: Final = 0.25
HOLE_FROM_MS: Final = 20 * 60_000
HOLE_MS: Final = 3 * 60_000
RATE_PER_S_AND_CHANNEL: Final = 5.0
TWITCH_LOGIN_PORT: Final = 8481
STOPPED: Final = 130


async def run_demo(settings: Settings, *, once: bool, channels: int, hours: int, port: int | None) -> int:
    """Run it; returns the exit code: Ctrl-C's where it was asked to stop before all was shown. A second start goes on
    after what the first left."""
    stop = stop_on_signals()
    console = Console(emoji=False, soft_wrap=True)
    compose.make_home(settings)
    chain = prepare(settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(one_supervisor.alone(settings.home))
        compose.pepper_of(settings)
        compose.enable_fast_hashing(settings)
        port = free_port(settings.api_host, settings.api_port if port is None else port)
        console.print("starting the embedded Postgres …")
        dsn = stack.enter_context(compose.database(settings))
        environment = {"TWZRD_LOG_LEVEL": "warning", "TWZRD_API_PORT": str(port)}
        if settings.log == "kafka":
            environment["TWZRD_KAFKA_BOOTSTRAP"] = stack.enter_context(compose.broker(settings))
        await databases.migrate(dsn)
        await chain.put_cap(dsn)
        base = claiming.reachable(f"http://{settings.api_host}:{port}")
        parts = [chain.part, *parts_of(port, claims=True)]
        environment |= chain.environment
        local_twitch = free_port("127.0.0.1", TWITCH_LOGIN_PORT)
        simulated = claiming.simulated_twitch(settings, local_twitch)
        if simulated:
            # The site is where we listen, whatever a real one's settings say.
            environment |= simulated | {"TWZRD_PUBLIC_URL": base, "TWZRD_DEMO_WALLET": "on"}
            users = [f"--user={one.user_id}:{one.login}" for one in demo_claim.known_people()]
            arguments = ["twitch-login", "--port", str(local_twitch), *users]
            parts.append(Part("twitch-login", arguments, quiet=True))
        simulation = Simulation(SEED, channels, RATE_PER_S_AND_CHANNEL * channels)

        async def show() -> None:
            await chain.make_mint()
            await _Demo(settings, dsn, port, simulation, console).run(hours)
            if simulated:
                await (demo_claim.prove if once else demo_claim.invite)(console, base, dsn, chain)

        if stop.is_set():
            return STOPPED
        console.print(f"starting {', '.join(part.name for part in parts)} …", highlight=False)
        supervisor = Supervisor(settings, parts, environment)
        supervisor.start()
        try:
            if not await run_unless_stopped(show(), stop):
                return STOPPED
            if not once:
                console.print("serving until Ctrl-C …")
                await stop.wait()
        finally:
            await supervisor.stop()
    return 0


class _Demo:
    """One run of the demo on a pipeline that is up."""

    def __init__(self, settings: Settings, dsn: str, port: int, simulation: Simulation, console: Console) -> None:
        self._settings = settings
        self._dsn = dsn
        self._base = f"http://{settings.api_host}:{port}"
        self._simulation = simulation
        self._console = console
        self._schedule: PolicySchedule = compose.schedule_of(settings.policy_file)
        self._events = self._envelopes = 0
        self._feed_s = 0.0

    async def run(self, hours: int) -> None:
        """Feed, watch, prove, print."""
        began = time.monotonic()
        async with databases.connected(self._dsn) as connection:
            start_s = await self._start_s(connection, hours)
            length_s = self._schedule.epoch_length_s
            epochs = [start_s + n * length_s for n in range(hours)]
            await self._feed_and_watch(connection, epochs)
            sealed = await self._sealed(connection, epochs)
            self._console.print(self._table(sealed))
            await self._prove(sealed)
        self._console.print(
            f"{self._events:,} events in {self._envelopes:,} envelopes, durable after {self._feed_s:.1f} s; "
            f"{len(sealed)} epochs sealed\nafter {time.monotonic() - began:.1f} s. While this runs:"
        )
        for path, meaning in (
            ("/docs", "the API, to read and try"),
            ("/v1/channels", "channels with seals"),
            (f"/v1/channels/{sealed[0]['login']}/epochs", "epochs of one"),
            ("/v1/stream", "live, as server-sent events"),
            ("/health", "whether all is well"),
            ("/metrics", "numbers for Prometheus"),
        ):
            self._console.print(f"  {self._base}{path:<32} {meaning}", highlight=False)

    async def _start_s(self, connection: Any, hours: int) -> int:
        """The first epoch to simulate: so that the last one ends about now, and after what is sealed already. Between
        an earlier run and this one nobody observed: that is declared, so that it holds nothing up."""
        length_s = self._schedule.epoch_length_s
        now_s = int(time.time()) // length_s * length_s
        newest = await read.newest_epoch(connection)
        done_s = newest.epoch_start_s + length_s if newest else 0
        start_s = max(now_s - hours * length_s, done_s)
        if newest and start_s > done_s:
            async with compose.open_log(self._pinned()) as log:
                await log.append(CHAT_EVENTS, [self._absent(n, done_s, start_s) for n in range(50)])
        return start_s

    def _absent(self, index: int, from_s: int, until_s: int) -> Append:
        identity, login = self._simulation.channel(index)
        from_s = max(from_s, until_s - MAX_INTERVAL_MS // 1000)
        value = encode("tick", identity, login, "demo", 0, (from_s * 1000, until_s * 1000, "absent"))
        return Append(None, identity.encode(), value)

    async def _feed_and_watch(self, connection: Any, epochs: list[int]) -> None:
        wanted = len(epochs) * self._simulation.channels
        feeding = asyncio.create_task(self._feed(epochs))
        deadline = time.monotonic() + PATIENCE_S
        try:
            with Live(console=self._console, refresh_per_second=8, transient=True) as live:
                while True:
                    done = len(await self._sealed(connection, epochs))
                    fed = "all chat is on the log" if feeding.done() else "feeding simulated chat"
                    shown = f"{fed}: {self._events:,} events | {done} of {wanted} epochs sealed and projected"
                    live.update(Text(shown))
                    if feeding.done():
                        feeding.result()
                        if done >= wanted:
                            return
                    if time.monotonic() > deadline:
                        raise DemoError(
                            f"only {done} of {wanted} epochs were sealed within {PATIENCE_S:.0f} s; "
                            "see the messages above"
                        )
                    await asyncio.sleep(LOOK_S)
        finally:
            feeding.cancel()

    async def _feed(self, epochs: list[int]) -> None:
        length_s, last = self._schedule.epoch_length_s, epochs[-1]
        grace_s = self._schedule.at(last).grace_s
        began = time.monotonic()
        async with compose.open_log(self._pinned()) as log:
            batch: list[Append] = []
            start_ms, end_ms = epochs[0] * 1000, (last + length_s + grace_s + 60) * 1000
            # The third channel's collector is away for three minutes.
            away = {2: (start_ms + HOLE_FROM_MS, start_ms + HOLE_FROM_MS + HOLE_MS)}
            for one in Envelopes(self._simulation, start_ms, away).run(start_ms, end_ms):
                batch.append(Append(None, one.key, one.value))
                self._events += one.events
                self._envelopes += 1
                if len(batch) >= BATCH:
                    await log.append(CHAT_EVENTS, batch)
                    batch = []
            await _append(log, batch)
        self._feed_s = time.monotonic() - began

    def _pinned(self) -> Settings:
        """Our settings with the server that is up already."""
        return dataclasses.replace(self._settings, database_url=self._dsn)

    async def _sealed(self, connection: Any, epochs: list[int]) -> list[dict[str, Any]]:
        rows = []
        for index in range(self._simulation.channels):
            identity, _ = self._simulation.channel(index)
            try:
                found = await read.epochs(connection, identity, epochs[-1] + 1, len(epochs))
            except asyncpg.UndefinedTableError:
                return []
            rows += [
                {
                    "login": one.login,
                    "channel": one.channel,
                    "epoch": one.epoch_start_s,
                    "leaves": one.leaf_count,
                    "weight": one.total_weight_centi,
                    "observed_ms": one.observed_ms,
                    "root": one.root.hex(),
                }
                for one in found
                if one.epoch_start_s >= epochs[0]
            ]
        return sorted(rows, key=lambda row: (row["epoch"], row["channel"]))

    def _table(self, sealed: list[dict[str, Any]]) -> Table:
        table = Table(title="sealed epochs", title_justify="left", box=None)
        for name in ("channel", "epoch (UTC)", "participants", "weight", "observed", "root"):
            table.add_column(name, justify="right" if name in ("participants", "weight", "observed") else "left")
        for row in sealed:
            minutes = row["observed_ms"] / 60_000
            at = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row["epoch"]))
            weight = f"{row['weight'] // 100}.{row['weight'] % 100:02d}"
            table.add_row(
                harmless(row["login"]), at, f"{row['leaves']:,}", weight, f"{minutes:.0f} min", row["root"][:16] + "…"
            )
        return table

    async def _prove(self, sealed: list[dict[str, Any]]) -> None:
        """Fetch one viewer's proof over HTTP and check it here, trusting nothing but the bundle."""
        row = max(sealed, key=lambda row: row["leaves"])
        key = read_operator_key(self._settings.operator_key_path)
        async with databases.connected(self._dsn) as connection:
            viewer = await self._a_viewer(connection, row)
        url = f"{self._base}/v1/epochs/{row['channel']}/{row['epoch']}/proof"
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
            data = await self._fetch(session, url, {"viewer": viewer})
        shown = verify_bundle(bundles.decode(data))
        path = self._settings.home / "demo-proof.json"
        path.write_bytes(data)
        self._console.print(
            f"proof fetched over HTTP and checked: {harmless(shown.identity)} took part in {harmless(row['login'])}\n"
            f"  at {row['epoch']}: {shown.messages} messages, {shown.amount_base_units / 10**9:,.0f} CHAT",
            highlight=False,
        )
        self._console.print(f"  check it again, offline: {_command()} verify {shlex.quote(str(path))}")

    async def _a_viewer(self, connection: Any, row: dict[str, Any]) -> str:
        from schemas.body import decode_body

        epoch = await read.epoch(connection, row["channel"], row["epoch"])
        blob = epoch and await read.body(connection, epoch.channel, epoch.epoch_start_s, epoch.revision)
        if not blob:
            raise DemoError(f"the seal of {row['login']} at {row['epoch']} has no body in the database")
        body = decode_body(blob)
        return body.identities[int(body.counts.messages.argmax())]

    async def _fetch(self, session: aiohttp.ClientSession, url: str, query: dict[str, str]) -> bytes:
        """GET, tried again while the API starts."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                async with session.get(url, params=query) as answer:
                    data = await answer.read()
                    if answer.status == 200:
                        return data
                    if answer.status < 500 and answer.status != 404:
                        raise DemoError(f"{url} answered {answer.status}: {orjson.loads(data)}")
            except aiohttp.ClientConnectionError as error:
                if time.monotonic() > deadline:
                    raise DemoError(f"the API at {url} cannot be reached: {error}") from error
            if time.monotonic() > deadline:
                raise DemoError(f"{url} gave no proof within {PATIENCE_S:.0f} s")
            await asyncio.sleep(LOOK_S)


async def _append(log: Log, batch: list[Append]) -> None:
    if batch:
        await log.append(CHAT_EVENTS, batch)


def _command() -> str:
    """How the newcomer calls us."""
    here = Path(".venv/bin/twzrd")
    return str(here) if here.exists() else "twzrd"
