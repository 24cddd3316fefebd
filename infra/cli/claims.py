"""Commands of the claims: sign, pay, and claims for the operator."""

import sys
from typing import Any

import click

from infra.cli.output import harmless, json_option, print_json, print_rows
from infra.looping import run
from infra.settings import Settings

_metrics_option = click.option("--metrics-port", type=click.IntRange(1, 65535), help="Numbers for Prometheus.")
_note_option = click.option("--note", default="", help="Why, for the record.")
_LISTED = (
    "claim_id",
    "state",
    "viewer_key",
    "wallet",
    "amount_base_units",
    "fee",
    "reserved_at",
    "attempts",
    "held_because",
)


@click.command()
@_metrics_option
@click.pass_obj
def sign(settings: Settings, metrics_port: int | None) -> None:
    """The signer: checks every claim itself, keeps its own books, and alone has the mint authority's key."""
    from infra import paying

    run(paying.sign(settings, metrics_port))


@click.command()
@_metrics_option
@click.pass_obj
def pay(settings: Settings, metrics_port: int | None) -> None:
    """The payer: brings reserved claims to the chain and their fate back. Needs the signer running."""
    from infra import paying

    run(paying.pay(settings, metrics_port))


@click.group()
def claims() -> None:
    """The ledger of claims, for the operator."""


@claims.command("list")
@click.option("--state", type=click.Choice(["reserved", "signed", "confirmed", "held"]), help="Only these.")
@click.option("--before", type=click.IntRange(1), help="Only claims with a smaller id.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@click.pass_obj
def list_claims(settings: Settings, state: str | None, before: int | None, limit: int, as_json: bool) -> None:
    """Claims, newest first."""
    from infra import operating

    print_rows(_LISTED, run(operating.claims(settings, state, before, limit)), as_json=as_json)


@claims.command()
@click.argument("claim_id", type=click.IntRange(1))
@json_option
@click.pass_obj
def show(settings: Settings, claim_id: int, as_json: bool) -> None:
    """One claim with its allocations, attempts and audit log."""
    from infra import operating

    found: dict[str, Any] = run(operating.claim(settings, claim_id))
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if not isinstance(value, list):
            click.echo(f"{name:<22} {harmless(value)}")
    for name in ("allocations", "attempts", "audit"):
        rows = found[name]
        print_rows(list(rows[0]) if rows else [], rows, as_json=False, title=name)


@claims.command()
@click.argument("claim_id", type=click.IntRange(1))
@_note_option
@click.pass_obj
def retry(settings: Settings, claim_id: int, note: str) -> None:
    """Let a claim go on that is held, or that waits for its viewer: to the wallet in force, if nothing was signed yet.

    Signer and chain decide as ever: what was paid is found paid.
    """
    from infra import operating

    run(operating.retry(settings, claim_id, note))
    click.echo(f"claim {claim_id} is reserved again")


@claims.command()
@click.argument("because", metavar="REASON")
@click.pass_obj
def freeze(settings: Settings, because: str) -> None:
    """Sign nothing new from now on. What is signed for already may still land."""
    from infra import operating

    run(operating.freeze(settings, because))
    click.echo("frozen: nothing new is signed")


@claims.command()
@click.pass_obj
def unfreeze(settings: Settings) -> None:
    """Let signing go on."""
    from infra import operating

    run(operating.freeze(settings, None))
    click.echo("signing goes on")


@claims.command()
@click.argument("base_units", required=False, type=click.IntRange(0, 2**63 - 1))
@click.option("--none", "no_cap", is_flag=True, help="No cap at all.")
@json_option
@click.pass_obj
def cap(settings: Settings, base_units: int | None, no_cap: bool, as_json: bool) -> None:
    """Show the switches, or set the most that is signed for in a day of UTC."""
    from infra import operating

    if base_units is not None and no_cap:
        raise click.UsageError("BASE_UNITS and --none exclude each other; give one of them")
    if base_units is not None or no_cap:
        run(operating.set_cap(settings, base_units))
    print_rows(
        ("frozen", "frozen_because", "daily_cap_base_units", "changed_at"),
        [run(operating.switches(settings))],
        as_json=as_json,
    )


@claims.command("wallet-wait")
@click.argument("seconds", required=False, type=click.IntRange(0, 30 * 86_400))
@json_option
@click.pass_obj
def wallet_wait(settings: Settings, seconds: int | None, as_json: bool) -> None:
    """Show, or set, how long a change of wallet waits: 0 to 2592000 s. What waits already keeps its time.

    With 0 a stolen session is enough to have another wallet paid at once.
    """
    from infra import operating

    print_rows(("change_wait_s",), [{"change_wait_s": run(operating.wallet_wait(settings, seconds))}], as_json=as_json)


@claims.command()
@click.option(
    "--starting-supply",
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    show_default=True,
    help="Base units that were minted otherwise.",
)
@json_option
@click.pass_obj
def reconcile(settings: Settings, starting_supply: int, as_json: bool) -> None:
    """Compare every confirmed claim with the chain, and their sum with the supply; exit 1 where they differ."""
    from infra import operating

    found = run(operating.reconcile(settings, starting_supply))
    print_rows(("claim_id", "what"), found, as_json=as_json)
    if not as_json:
        click.echo(f"{len(found)} differences")
    sys.exit(1 if found else 0)


@claims.command()
@click.option("--after-s", type=click.IntRange(0), default=86_400, show_default=True, help="Final for so long.")
@json_option
@click.pass_obj
def reclaim(settings: Settings, after_s: int, as_json: bool) -> None:
    """Take the rent of old claims' markers back now. The payer does it by itself; a marker that is gone no longer
    guards against a database restored from before its claim."""
    from infra import operating

    gone, asked = run(operating.reclaim(settings, float(after_s)))
    if as_json:
        print_json({"markers_gone": gone, "markers_asked_back": asked})
    else:
        click.echo(f"{gone} markers gone, the rent of {asked} asked back")


COMMANDS = (sign, pay, claims)
