"""`twzrd twitch-login`: a local Twitch to sign in with."""

import asyncio
import re
import sys

import click

from infra.cli.output import json_option, print_json
from infra.looping import run
from infra.settings import Settings


@click.command("twitch-login")
@click.option("--port", type=click.IntRange(0, 65535), default=8481, show_default=True, help="0 takes a free one.")
@click.option("--user", "users", multiple=True, metavar="ID:LOGIN", help="Somebody to choose; may be given again.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Registered address; default: any here.")
@json_option
@click.pass_obj
def twitch_login(
    settings: Settings, port: int, users: tuple[str, ...], redirect_uris: tuple[str, ...], as_json: bool
) -> None:
    """A local Twitch to sign in with, for those without an account or application there. On this machine only.

    Its client id and secret are TWZRD_TWITCH_CLIENT_ID and _SECRET where set, else twzrdlocal and twzrdlocalsecret.
    """
    from infra.twitch_login.state import LoginState

    state = LoginState(redirect_uris=set(redirect_uris))
    if settings.twitch_client_id and settings.twitch_client_secret.reveal():
        state.client_id, state.client_secret = settings.twitch_client_id, settings.twitch_client_secret.reveal()
    for user in users:
        user_id, colon, login = user.partition(":")
        if not colon or re.fullmatch(r"0|[1-9][0-9]{0,17}", user_id) is None:
            raise click.UsageError(f"--user {user!r} is not of the form ID:LOGIN, for example 5:ann")
        try:
            state.add_user(login, user_id)
        except ValueError as error:
            raise click.UsageError(f"--user {user!r}: {error}") from None
    run(_serve(state, port, as_json))


async def _serve(state: object, port: int, as_json: bool) -> None:
    from infra.stopping import stop_on_signals
    from infra.twitch_login.server import served
    from infra.twitch_login.state import LoginState

    assert isinstance(state, LoginState)
    stop: asyncio.Event = stop_on_signals()
    async with served(state, port=port) as twitch:
        facts = {
            "TWZRD_TWITCH_ID_URL": twitch.id_url,
            "TWZRD_TWITCH_API_URL": twitch.api_url,
            "TWZRD_TWITCH_CLIENT_ID": state.client_id,
        }
        if as_json:
            print_json(facts)
        else:
            for name, value in facts.items():
                click.echo(f"{name}={value}")
            sys.stdout.flush()
        await stop.wait()


COMMANDS = (twitch_login,)
