"""Commands that run the pipeline: load, work, project, archive, serve, up, demo."""

import sys

import click

from infra import compose
from infra.cli.output import json_option, print_json
from infra.cli.reading import check_read_options, print_read, progress_bar, reading_options
from infra.looping import run
from infra.settings import Settings
from streams.collect.files.formats import ReadOptions


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that read.")
@click.option("--no-end", is_flag=True, help="Leave the channels' last epochs open (more files will follow).")
@reading_options
@json_option
@click.pass_obj
def load(
    settings: Settings,
    files: tuple[str, ...],
    jobs: int,
    no_end: bool,
    form: str | None,
    channel: str | None,
    tz: str,
    as_json: bool,
) -> None:
    """Historic logs onto the log (Postgres or Kafka, by settings), as fast as it takes them.

    The end of each file closes its channels' hours: into a channel that is collected just now load with --no-end.
    An archive (a folder, or its files) is put there record by record, to bring a lost log back.
    """
    from infra.loading import Loaded, Loader

    read = ReadOptions(form, channel, tz)
    check_read_options(read)

    async def main() -> Loaded:
        with progress_bar() as progress:
            async with compose.open_log(settings) as log:
                return await Loader(log, read, jobs, progress).load(files, end=not no_end)

    done = run(main())
    counts = {
        "lines": done.tally.lines,
        "records": done.tally.records,
        "events": done.tally.events,
        "malformed": done.tally.malformed,
        **dict(sorted(done.tally.other.items())),
        "envelopes": done.envelopes,
    }
    if as_json:
        print_json({**counts, "failed_inputs": done.tally.failed_inputs})
    else:
        print_read(counts, done.tally, "on the stream dead: twzrd log cat dead")
    if done.tally.failed_inputs:
        sys.exit(1)


@click.command()
@click.option("--instance", help="A name of this worker that outlives its process (Kafka: static membership).")
@click.option(
    "--web-port",
    type=click.IntRange(0, 65535),
    default=6066,
    show_default=True,
    help="Faust's live pages; 0 turns them off.",
)
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Numbers for Prometheus (Faust: on its pages).")
@click.pass_obj
def work(settings: Settings, instance: str | None, web_port: int, metrics_port: int | None) -> None:
    """The worker: folds chat.events and seals epochs. On Postgres the runner; on Kafka Faust, or the direct engine
    (TWZRD_ENGINE=direct)."""
    from infra import working

    if settings.log == "kafka" and settings.engine == "faust":
        working.run_faust(settings, instance, web_port or None)
    else:
        run(working.run_loop(settings, instance, metrics_port))


@click.command()
@click.option("--rebuild", metavar="NAME", help="Build a projection anew beside the old one, compare, swap.")
@click.option("--replace", is_flag=True, help="With --rebuild: take the new tables also where what stands differs.")
@click.option("--resume", metavar="CHANNEL", help="Let a channel go on that a contradicting seal stopped.")
@click.option("--note", default="", help="With --resume: why, for the record.")
@click.option("--once", is_flag=True, help="Apply what the log holds now, then end.")
@click.option("--metrics-port", type=click.IntRange(1, 65535), help="Numbers for Prometheus.")
@click.pass_obj
def project(
    settings: Settings,
    rebuild: str | None,
    replace: bool,
    resume: str | None,
    note: str,
    once: bool,
    metrics_port: int | None,
) -> None:
    """The projections: what the log says, as tables in Postgres."""
    from infra import projecting

    if replace and not rebuild:
        raise click.UsageError("--replace goes with --rebuild NAME")
    if resume:
        click.echo(f"{run(projecting.resume(settings, resume, note))} held records applied")
    elif rebuild:
        digests = run(projecting.rebuild(settings, rebuild, replace=replace))
        click.echo(f"projection {rebuild} was built anew and stands in the old one's place:")
        for table, digest in digests.items():
            click.echo(f"  {table:<24} {digest}")
    else:
        run(projecting.run(settings, once=once, metrics_port=metrics_port))


@click.command()
@click.option("--once", is_flag=True, help="Archive what the log holds now, then end.")
@click.pass_obj
def archive(settings: Settings, once: bool) -> None:
    """The archiver: chat.events as Parquet per channel and day, the long-term record."""
    from infra import archiving

    run(archiving.run(settings, once=once))


@click.command()
@click.option("--host", help="Address to listen on (TWZRD_API_HOST).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one (TWZRD_API_PORT).")
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None) -> None:
    """The HTTP API over the read models."""
    from infra import serving

    run(serving.run(settings, host or settings.api_host, settings.api_port if port is None else port))


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the API (TWZRD_API_PORT).")
@click.option("--collect", metavar="A,B,C", help="Collect these channels live, too; @FILE: as --channels-file.")
@click.option("--discover", is_flag=True, help="Collect live channels that Twitch's own list names, too.")
@click.pass_obj
def up(settings: Settings, port: int | None, collect: str | None, discover: bool) -> None:
    """Everything for one machine in one process group: worker, projections, archiver, API; a collector if wanted."""
    from infra.supervisor import run_up

    if collect is not None and discover:
        raise click.UsageError("--collect and --discover exclude each other; give one of them")
    arguments: tuple[str, ...] = ("--discover",) if discover else ()
    if collect is not None:
        arguments = ("--channels-file", collect[1:]) if collect.startswith("@") else ("--channels", collect)
    sys.exit(run(run_up(settings, port, arguments)))


@click.command()
@click.option("--once", is_flag=True, help="End when the proof is checked, instead of serving until Ctrl-C.")
@click.option("--channels", type=click.IntRange(1, 50), default=6, show_default=True)
@click.option("--hours", type=click.IntRange(1, 48), default=3, show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the API (TWZRD_API_PORT, else a free one).")
@click.pass_obj
def demo(settings: Settings, once: bool, channels: int, hours: int, port: int | None) -> None:
    """Simulated chat through the whole pipeline: sealed epochs, a proof over HTTP, URLs to look at."""
    from infra.demo import run_demo

    sys.exit(run(run_demo(settings, once=once, channels=channels, hours=hours, port=port)))


COMMANDS = (load, work, project, archive, serve, up, demo)
