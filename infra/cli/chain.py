"""Commands of the chain: localnet, token."""

from pathlib import Path
from typing import Any

import click

from infra.cli.output import json_option, print_json
from infra.looping import run
from infra.settings import Settings


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_534), default=8899, show_default=True, help="JSON-RPC; PubSub on the next."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where its journal is; default home/localnet.",
)
@click.option(
    "--slot-ms", type=click.IntRange(0, 60_000), default=400, show_default=True, help="Length of a slot; 0: by hand."
)
@click.option(
    "--finality-slots", type=click.IntRange(0, 64), default=1, show_default=True, help="Slots until finalized."
)
@click.option("--faults", is_flag=True, help="Offer the methods twzrd_*: faults, lag, slots by hand.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the faults' chance.")
@json_option
@click.pass_obj
def localnet(settings: Settings, /, folder: Path | None, faults: bool, as_json: bool, **given: Any) -> None:
    """A Solana cluster of one on this machine, for development and tests.

    Its chain survives a kill; another --dir is another chain. docs/localnet.md tells what it has.
    """
    from infra.localnet.options import LocalnetOptions
    from infra.localnet.serving import serve

    def tell(facts: dict[str, Any]) -> None:
        if as_json:
            print_json(facts)
        else:
            click.echo("  ".join(f"{name} {value}" for name, value in facts.items() if value not in (0, "")))

    options = LocalnetOptions(folder=folder or settings.home / "localnet", faults_by_rpc=faults, **given)
    run(serve(options, tell))


COMMANDS = (localnet,)
