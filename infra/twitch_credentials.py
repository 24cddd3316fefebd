"""Where the Helix credentials are: the environment, or a file that only its owner can read. Never shown."""

import os
import stat
from pathlib import Path
from typing import Final

from infra.keys import KeyFileError
from infra.settings import Settings
from streams.collect.live.app_token import Credentials

MAX_BYTES: Final = 4096
_NAMES: Final = ("client_id", "client_secret")


def read(settings: Settings) -> Credentials:
    """From TWZRD_TWITCH_CLIENT_ID and _SECRET where both are set, else from the credentials file. Raises KeyFileError
    with what is missing and how to give it."""
    client_id, secret = settings.twitch_client_id, settings.twitch_client_secret.reveal()
    if client_id and secret:
        return Credentials(client_id, secret)
    if client_id or secret:
        missing = "TWZRD_TWITCH_CLIENT_SECRET" if client_id else "TWZRD_TWITCH_CLIENT_ID"
        raise KeyFileError(f"{missing} is not set, but its partner is; set both, or none and use a credentials file")
    return _read_file(settings.twitch_credentials_path)


def find(settings: Settings) -> Credentials | None:
    """The same, but None where none were given. Raises KeyFileError for what was given and cannot be used."""
    given = settings.twitch_client_id or settings.twitch_client_secret.reveal() or settings.twitch_credentials_file
    return read(settings) if given or settings.twitch_credentials_path.exists() else None


def _read_file(path: Path) -> Credentials:
    mend = "write the two lines client_id=... and client_secret=... of your application at dev.twitch.tv/console"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise KeyFileError(f"asking Twitch needs credentials: {path} is not there; {mend} (mode 0600)") from None
    except OSError as error:
        raise KeyFileError(f"cannot read Twitch credentials {path}: {error.strerror}; whose file is it?") from error
    with os.fdopen(descriptor, "rb") as file:
        mode = stat.S_IMODE(os.fstat(descriptor).st_mode)
        if mode & 0o077:
            raise KeyFileError(
                f"Twitch credentials {path} are open to others (mode {mode:04o}); close them: chmod 600 {path}"
            )
        text = file.read(MAX_BYTES)
    # The values themselves are never put into a message.
    try:
        lines = [line.strip() for line in text.decode("ascii").splitlines() if line.strip()]
    except UnicodeDecodeError:
        raise KeyFileError(f"Twitch credentials {path} hold something that is not plain text; {mend}") from None
    found = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    for name in _NAMES:
        if not found.get(name, "").isalnum():
            raise KeyFileError(f"Twitch credentials {path}: no {name}, or not letters and digits only; {mend}")
    return Credentials(found["client_id"], found["client_secret"])
