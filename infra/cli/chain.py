"""Commands of the chain: localnet, token."""

from pathlib import Path
from typing import Any

import click

from infra.cli.output import harmless, json_option, print_json
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


@click.group()
def token() -> None:
    """The CHAT mint on the cluster of the settings (TWZRD_RPC_URLS, TWZRD_CLUSTER)."""


@token.command()
@click.option("--name", default="CHAT", show_default=True, help="Its name in wallets.")
@click.option("--symbol", default="CHAT", show_default=True, help="Its short name.")
@click.option("--uri", default="", help="Address of its picture and text, as JSON.")
@click.option("--freeze-authority", is_flag=True, help="Let the mint authority freeze accounts, too.")
@click.option(
    "--mint-key", type=click.Path(path_type=Path, dir_okay=False), help="Its key; default home/keys/mint.json."
)
@click.option("--yes", is_flag=True, help="Do not ask, on mainnet.")
@json_option
@click.pass_obj
def create(
    settings: Settings,
    /,
    name: str,
    symbol: str,
    uri: str,
    freeze_authority: bool,
    mint_key: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Make the mint, and the keys that are not there yet, with the marker secret; on a localnet the faucet pays.

    Token-2022, 9 decimals, its names inside. Run again it makes nothing new.
    """
    from infra import minting
    from streams.chain.mint import TokenNames

    if settings.cluster == "mainnet" and not yes:
        click.confirm("Make a mint on mainnet, with real lamports?", abort=True)
    names, mint_file = TokenNames(name, symbol, uri), mint_key or settings.mint_key_path
    made = run(minting.create(settings, names, mint_file, freeze=freeze_authority))
    facts = {
        "mint": str(made.mint),
        "mint_authority": str(made.authority),
        "fee_payer": str(made.fee_payer),
        "signature": None if made.signature is None else str(made.signature),
        "keys_made": [str(path) for path in made.made],
        "cluster": settings.cluster,
    }
    if as_json:
        print_json(facts)
        return
    for path in made.made:
        click.echo(f"made {path}; back it up")
    click.echo(f"mint {made.mint}" + (" (was there already)" if made.signature is None else ""))
    click.echo(f"mint authority {made.authority}")
    click.echo(f"fee payer {made.fee_payer}")
    click.echo(f"export TWZRD_MINT={made.mint}")


@token.command("mint-authority")
@click.option("--mint", "address", help="The mint; default TWZRD_MINT.")
@click.option("--to", help="Hand it over to this address.")
@click.option("--nobody", is_flag=True, help="Give it up: nothing can be minted any more.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@click.pass_obj
def mint_authority(
    settings: Settings, /, address: str | None, to: str | None, nobody: bool, yes: bool, as_json: bool
) -> None:
    """Show who may mint, or hand that over."""
    from infra import minting

    mint = _address(address or settings.mint, "--mint")
    if to is not None and nobody:
        raise click.UsageError("--to and --nobody exclude each other.")
    if to is None and not nobody:
        found = run(minting.inspect(settings, mint))
        said = None if found.mint_authority is None else str(found.mint_authority)
        if as_json:
            print_json({"mint": str(mint), "mint_authority": said})
        else:
            click.echo(said or "nobody")
        return
    new = None if to is None else _address(to, "--to")
    if not yes:
        click.confirm(f"Hand the right to mint {mint} to {new or 'nobody, for ever'}?", abort=True)
    signature = run(minting.hand_over(settings, mint, new))
    if as_json:
        print_json({"mint": str(mint), "mint_authority": to, "signature": str(signature)})
    else:
        click.echo(f"{signature}")


@token.command()
@click.argument("address", required=False)
@json_option
@click.pass_obj
def inspect(settings: Settings, /, address: str | None, as_json: bool) -> None:
    """Supply, decimals, authorities and names of a mint (default TWZRD_MINT)."""
    from infra import minting
    from streams.chain.mint import EXTENSIONS

    mint = _address(address or settings.mint, "ADDRESS")
    found = run(minting.inspect(settings, mint))
    names = found.metadata
    facts: dict[str, Any] = {
        "mint": str(mint),
        "supply_base_units": str(found.supply_base_units),
        "decimals": found.decimals,
        "mint_authority": None if found.mint_authority is None else str(found.mint_authority),
        "freeze_authority": None if found.freeze_authority is None else str(found.freeze_authority),
        "name": None if names is None else names.name,
        "symbol": None if names is None else names.symbol,
        "uri": None if names is None else names.uri,
        "metadata_authority": None if found.metadata_authority is None else str(found.metadata_authority),
        "extensions": [EXTENSIONS.get(one, f"extension {one}") for one in found.extensions],
        "harmful": list(found.harmful),
    }
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        click.echo(f"{name.replace('_', ' ')}: {harmless(shown) or '-'}")


def _address(text: str, option: str) -> Any:
    from solders.pubkey import Pubkey

    try:
        return Pubkey.from_string(text)
    except ValueError:
        mend = "name one, or set TWZRD_MINT" if not text else "it must be an address in base58"
        raise click.BadParameter(f"{harmless(text)!r} is no address; {mend}", param_hint=option) from None


COMMANDS = (localnet, token)
