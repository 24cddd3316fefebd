"""Processes beside the pipeline: discover, close, raw."""

import click

from infra.looping import run
from infra.settings import Settings

_metrics_option = click.option("--metrics-port", type=click.IntRange(1, 65535), help="Numbers for Prometheus.")


@click.command()
@_metrics_option
@click.pass_obj
def discover(settings: Settings, metrics_port: int | None) -> None:
    """The discovery: asks Twitch which channels are live and wants the most watched (TWZRD_DISCOVER_*)."""
    from infra import discovering

    run(discovering.run(settings, metrics_port=metrics_port))


@click.command()
@_metrics_option
@click.pass_obj
def close(settings: Settings, metrics_port: int | None) -> None:
    """The closer: lets the hours of channels seal that no collector watches any more; keeps the log tidy."""
    from infra import closing

    run(closing.run(settings, metrics_port=metrics_port))


@click.command()
@click.option("--once", is_flag=True, help="Write what the log holds now, then end.")
@_metrics_option
@click.pass_obj
def raw(settings: Settings, once: bool, metrics_port: int | None) -> None:
    """Events one by one, into the table twitch_events_raw and day files; text only with TWZRD_KEEP_TEXT=on."""
    from infra import rawing

    run(rawing.run(settings, once=once, metrics_port=metrics_port))


COMMANDS = (discover, close, raw)
