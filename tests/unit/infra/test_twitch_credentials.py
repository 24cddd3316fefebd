"""Helix credentials: from the environment or a private file, with errors that show neither."""

from pathlib import Path

import pytest

from infra import settings, twitch_credentials
from infra.keys import KeyFileError
from infra.settings import Settings

SECRET = "s3cr3tvalue"


def told(tmp_path: Path, **environment: str) -> Settings:
    return settings.load(tmp_path, {f"TWZRD_TWITCH_{name.upper()}": value for name, value in environment.items()})


def written(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "twitch"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_both_variables_go_before_the_file(tmp_path: Path) -> None:
    found = twitch_credentials.read(told(tmp_path, client_id="abc", client_secret=SECRET))
    assert (found.client_id, found.client_secret) == ("abc", SECRET)
    assert SECRET not in repr(found)


@pytest.mark.parametrize("name", ["client_id", "client_secret"])
def test_one_variable_without_its_partner_is_a_mistake(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="is not set, but its partner is") as caught:
        twitch_credentials.read(told(tmp_path, **{name: SECRET}))
    assert SECRET not in str(caught.value)


def test_a_private_file_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, f"\n client_id = abc\nclient_secret={SECRET}\n")
    found = twitch_credentials.read(told(tmp_path, credentials_file=str(path)))
    assert (found.client_id, found.client_secret) == ("abc", SECRET)


def test_the_default_file_lies_with_the_keys(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"keys/twitch is not there; write the two lines"):
        twitch_credentials.read(told(tmp_path))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = written(tmp_path, f"client_id=abc\nclient_secret={SECRET}\n", mode)
    with pytest.raises(KeyFileError, match="chmod 600") as caught:
        twitch_credentials.read(told(tmp_path, credentials_file=str(path)))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "client_id=abc\n", f"client_id=abc\nclient_secret={SECRET} x\n", f"{SECRET}\n", f"client_id=é{SECRET}\n"],
)
def test_a_file_of_another_form_is_refused_without_quoting_it(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(KeyFileError, match="client_id=") as caught:
        twitch_credentials.read(told(tmp_path, credentials_file=str(path)))
    assert SECRET not in str(caught.value)


def test_whoever_can_do_without_finds_none_only_where_none_were_given(tmp_path: Path) -> None:
    assert twitch_credentials.find(told(tmp_path)) is None
    found = twitch_credentials.find(told(tmp_path, client_id="abc", client_secret=SECRET))
    assert found is not None and found.client_id == "abc"
    for given in ({"client_id": "abc"}, {"client_secret": SECRET}, {"credentials_file": str(tmp_path / "nowhere")}):
        with pytest.raises(KeyFileError):
            twitch_credentials.find(told(tmp_path, **given))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "twitch").write_text("client_id=abc\n")
    with pytest.raises(KeyFileError):
        twitch_credentials.find(told(tmp_path))
