"""A Solana key file is read as its own command line writes it, and never overwritten nor open to others."""

import json
from pathlib import Path

import pytest
from solders.keypair import Keypair

from streams.chain import keyfile
from streams.chain.errors import KeyFileError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "payer.json"


def write(path: Path, text: str, mode: int = 0o600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def test_what_was_written_is_read_and_closed_to_others(path: Path) -> None:
    key = Keypair()
    assert keyfile.write_new(path, key)
    assert keyfile.read(path, "fee payer") == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_the_form_is_that_of_solana_s_command_line(path: Path) -> None:
    key = Keypair.from_seed(bytes(range(32)))
    write(path, json.dumps(json.loads(key.to_json())) + "\n")
    assert keyfile.read(path, "fee payer") == key
    other = path.with_name("other.json")
    keyfile.write_new(other, key)
    assert other.read_text() == key.to_json()


def test_a_file_that_is_there_is_never_overwritten(path: Path) -> None:
    first, made = keyfile.read_or_make(path, "fee payer")
    assert made
    assert not keyfile.write_new(path, Keypair())
    assert keyfile.read_or_make(path, "fee payer") == (first, False)


def test_a_missing_file_is_named_with_its_mend(path: Path) -> None:
    with pytest.raises(
        KeyFileError, match=rf"fee payer key file {path} is not there; make it with: twzrd token create"
    ):
        keyfile.read(path, "fee payer")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    write(path, Keypair().to_json(), mode)
    with pytest.raises(KeyFileError, match=f"open to others .mode {mode:04o}.; close it: chmod 600"):
        keyfile.read(path, "fee payer")


SEED = list(bytes(Keypair.from_seed(b"\7" * 32)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ("{}", "holds something else"),
        (json.dumps(SEED[:32]), "holds something else"),
        (json.dumps([*SEED[:-1], 256]), "not a byte"),
        (json.dumps([*SEED[:-1], True]), "not a byte"),
        (json.dumps([*SEED[:-1], SEED[-1] ^ 1]), "public half"),
        (" " * 2000, "longer than"),
    ],
)
def test_what_is_no_key_is_refused_and_never_shown(path: Path, text: str, said: str) -> None:
    write(path, text)
    with pytest.raises(KeyFileError, match=said) as refused:
        keyfile.read(path, "fee payer")
    assert str(SEED[0]) + ", " + str(SEED[1]) not in str(refused.value)
