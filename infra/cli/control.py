"""What collectors are told and asked: channels, optout."""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from infra import compose
from infra.cli.output import harmless, json_option, print_json, print_rows
from infra.looping import run
from infra.settings import Settings
from streams.log.port import Log

_SAID = ("channel", "said")
_note_option = click.option("--note", default="", help="Why, for the record.")


def _on_log(settings: Settings, ask: Callable[[Log], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with compose.open_log(settings) as log:
            return await ask(log)

    return run(main())


@click.group()
def channels() -> None:
    """Which channels are collected; changes reach running collectors within seconds."""


@channels.command()
@click.argument("names", metavar="CHANNEL...", nargs=-1, required=True)
@_note_option
@json_option
@click.pass_obj
def add(settings: Settings, names: tuple[str, ...], note: str, as_json: bool) -> None:
    """Collect these channels."""
    from infra import controlling

    rows = _on_log(settings, lambda log: controlling.add_channels(log, names, note))
    print_rows(_SAID, rows, as_json=as_json)


@channels.command()
@click.argument("names", metavar="CHANNEL...", nargs=-1, required=True)
@_note_option
@json_option
@click.pass_obj
def remove(settings: Settings, names: tuple[str, ...], note: str, as_json: bool) -> None:
    """Collect these no longer; what the discovery picked is denied to it."""
    from infra import controlling

    rows = _on_log(settings, lambda log: controlling.remove_channels(log, names, note))
    print_rows(_SAID, rows, as_json=as_json)


@channels.command()
@click.argument("ruling", type=click.Choice(["allow", "deny", "none"]))
@click.argument("names", metavar="CHANNEL...", nargs=-1, required=True)
@_note_option
@json_option
@click.pass_obj
def rule(settings: Settings, ruling: Any, names: tuple[str, ...], note: str, as_json: bool) -> None:
    """Tell the discovery: once any is allowed it picks among the allowed only; the denied it never picks."""
    from infra import controlling

    rows = _on_log(settings, lambda log: controlling.rule_channels(log, names, ruling, note))
    print_rows(_SAID, rows, as_json=as_json)


@channels.command("list")
@json_option
@click.pass_obj
def list_channels(settings: Settings, as_json: bool) -> None:
    """Channels that are wanted or ruled on, and how they stand."""
    from infra import controlling

    rows = _on_log(settings, controlling.list_channels)
    print_rows(("channel", "wanted", "by", "since", "ruling", "state", "collector", "note"), rows, as_json=as_json)


@channels.command()
@click.argument("name", metavar="CHANNEL")
@json_option
@click.pass_obj
def why(settings: Settings, name: str, as_json: bool) -> None:
    """What state a channel is in, why, since when, at which collector, and what was tried."""
    from infra import controlling

    facts = _on_log(settings, lambda log: controlling.why(log, name))
    if as_json:
        print_json(facts)
        return
    click.echo(f"{facts['channel']}: {'wanted' if facts['wanted'] else 'not wanted'}")
    if renamed := facts["renamed"]:
        _say(f"  renamed to {renamed['to']} on {renamed['at']}, followed by room {renamed['room_id']}", "")
    for wish in facts["wishes"]:
        named = "" if wish["login"] == facts["channel"] else f"as {wish['login']} "
        _say(f"  wanted {named}by {wish['origin']} ({wish['by']}) since {wish['at']}", wish["note"])
    if facts["ruling"]:
        ruled = facts["ruling"]
        _say(f"  {ruled['ruling']} to the discovery, said by {ruled['by']} at {ruled['at']}", ruled["note"])
    for state in facts["collectors"]:
        since = f" since {state['since']}" if state["since"] else ""
        _say(f"  {state['collector']}: {state['state']}{since}", state["reason"])
        for attempt in state["tried"]:
            _say(f"    {attempt['at']} {attempt['what']}", attempt["outcome"])
        heard = "" if state["heard_s_ago"] is None else f", the collector last heard of {state['heard_s_ago']} s ago"
        click.echo(f"    reported {harmless(state['reported'])}{heard}")
    if facts["wanted"] and not facts["collectors"]:
        click.echo("  no collector has said anything of it yet: is one running? (twzrd collect)")


def _say(line: str, detail: str) -> None:
    click.echo(harmless(f"{line}: {detail}" if detail else line))


@click.group()
def optout() -> None:
    """Viewers whose events are dropped before the log."""


@optout.command("add")
@click.argument("viewer")
@_note_option
@json_option
@click.pass_obj
def add_viewer(settings: Settings, viewer: str, note: str, as_json: bool) -> None:
    """Drop VIEWER's events from now on (a login, or twitch:id:…), in every collector within 5 s."""
    from infra import controlling

    rows = _on_log(settings, lambda log: controlling.opt_out(settings, log, viewer, note))
    print_rows(("viewer", "opted_out"), rows, as_json=as_json)


@optout.command("remove")
@click.argument("viewer")
@_note_option
@json_option
@click.pass_obj
def remove_viewer(settings: Settings, viewer: str, note: str, as_json: bool) -> None:
    """Take VIEWER's events again."""
    from infra import controlling

    rows = _on_log(settings, lambda log: controlling.opt_in(settings, log, viewer, note))
    print_rows(("viewer", "opted_out"), rows, as_json=as_json)


@optout.command("list")
@json_option
@click.pass_obj
def list_viewers(settings: Settings, as_json: bool) -> None:
    """Who is opted out, since when, and who said it."""
    from infra import controlling

    rows = _on_log(settings, controlling.list_opted_out)
    print_rows(("viewer", "since", "by", "note"), rows, as_json=as_json)


COMMANDS = (channels, optout)
