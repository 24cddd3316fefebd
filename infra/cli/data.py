"""Commands on what is there: db, export, log, reseal, status, dev."""

import sys
from pathlib import Path

import click

from infra import compose
from infra.cli.output import harmless, json_option, print_json, print_rows
from infra.looping import run
from infra.settings import Settings
from schemas import identity as identities
from schemas.streams import CHAT_EVENTS, STREAMS


@click.group()
def db() -> None:
    """The database of the read models."""


@db.command()
@click.pass_obj
def migrate(settings: Settings) -> None:
    """Bring the database up to date; safe to run again."""
    from infra import databases

    with compose.database(settings) as dsn:
        ran = run(databases.migrate(dsn))
    click.echo("\n".join(f"ran {name}" for name in ran) or "up to date")


@db.command()
@json_option
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """Which migrations ran, and when."""
    from infra import databases

    with compose.database(settings) as dsn:
        rows = run(databases.status(dsn))
    print_rows(("house", "file", "applied"), rows, as_json=as_json)


@click.command()
@click.argument("what", type=click.Choice(["seals", "leaves", "participants", "allocations"]))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write (parquet needs one); default: standard output.",
)
@click.option("--channel", help="Only this channel (login or identity).")
@click.pass_obj
def export(settings: Settings, what: str, form: str, out: Path | None, channel: str | None) -> None:
    """Read models as a file. participants and allocations name people: keep them private."""
    from infra import exporting

    if form == "parquet" and out is None:
        raise click.UsageError("parquet cannot go to standard output; give --out FILE")
    count = run(exporting.run(settings, what, form, out, channel))
    click.echo(f"{count:,} rows", err=True)


@click.group()
def log() -> None:
    """The log itself."""


@log.command()
@click.argument("stream", type=click.Choice(STREAMS), default=CHAT_EVENTS)
@click.option("--partition", type=click.IntRange(0), help="Default: all, one after the other.")
@click.option("--start", type=click.IntRange(0), default=0, show_default=True, help="First offset.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most records of a partition.")
@click.pass_obj
def cat(settings: Settings, stream: str, partition: int | None, start: int, limit: int) -> None:
    """Print records as JSON lines."""
    from infra.catting import record_json

    async def main() -> None:
        async with compose.open_log(settings) as opened:
            wanted = range(await opened.partitions(stream)) if partition is None else [partition]
            for one in wanted:
                left, offset = limit, start
                while left and (records := await opened.read(stream, one, offset, max_records=left)):
                    for record in records:
                        print_json(record_json(stream, one, record))
                    left, offset = left - len(records), records[-1].offset + 1

    run(main())


@log.command()
@json_option
@click.pass_obj
def spans(settings: Settings, as_json: bool) -> None:
    """First and next offset of every partition."""

    async def main() -> list[dict[str, object]]:
        rows: list[dict[str, object]] = []
        async with compose.open_log(settings) as opened:
            for stream in STREAMS:
                for one in range(await opened.partitions(stream)):
                    first, end = await opened.span(stream, one)
                    rows.append({"stream": stream, "partition": one, "first": first, "next": end})
        return rows

    print_rows(("stream", "partition", "first", "next"), run(main()), as_json=as_json)


@click.command()
@click.option("--channel", required=True, help="Identity (twitch:id:…), or a login that was sealed before.")
@click.option("--epoch", type=int, required=True, help="Start of a closed epoch, unix seconds.")
@click.pass_obj
def reseal(settings: Settings, channel: str, epoch: int) -> None:
    """Ask for the next revision of an epoch: everything the log holds for it, folded again."""
    from infra import databases
    from streams.runner.resealer import request_reseal

    async def main() -> tuple[int, int]:
        identity = channel
        if not channel.startswith((identities.ID_PREFIX, identities.LOGIN_PREFIX)):
            with compose.database(settings) as dsn:
                identity = await databases.channel_identity(dsn, channel)
        length_s = compose.schedule_of(settings.policy_file).epoch_length_s
        async with compose.open_log(settings) as opened:
            return await request_reseal(opened, identity, epoch, length_s)

    partition, offset = run(main())
    click.echo(f"asked at {CHAT_EVENTS} partition {partition} offset {offset}")


@click.group()
def dev() -> None:
    """Servers for development."""


@dev.group()
def kafka() -> None:
    """A real Apache Kafka on this machine (Java 17; jars from Maven Central)."""


@kafka.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one and keeps it.")
@click.pass_obj
def start(settings: Settings, port: int) -> None:
    """Start the broker and print its address."""
    from infra.kafka import DevKafka

    click.echo(DevKafka(settings.kafka_dir, port, cache_dir=settings.cache_path).start())


@kafka.command()
@click.pass_obj
def stop(settings: Settings) -> None:
    """Stop the broker; its data stays."""
    from infra.kafka import DevKafka

    DevKafka(settings.kafka_dir, cache_dir=settings.cache_path).stop()


@click.command("status")
@json_option
@click.pass_obj
def overall(settings: Settings, as_json: bool) -> None:
    """How far the projections are, which channels stand still, and the latest alarms."""
    from infra import databases

    with compose.database(settings) as dsn:
        facts = run(databases.overall(dsn))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if isinstance(value, list):
            click.echo(f"{name}:")
            for row in value:
                click.echo("  " + "  ".join(f"{key}={harmless(item)}" for key, item in row.items()))
        else:
            click.echo(f"{name}: {harmless(value)}")
    sys.stdout.flush()


COMMANDS = (db, export, log, reseal, dev, overall)
