"""Proofs from a replay's folder: what cannot be proved truly is named, not guessed."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from infra.proving import Found, NotFound, Wanted, from_folder, prove
from schemas.errors import ProofError
from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.core.verify import verify_bundle
from streams.replay.folding import FoldOptions
from streams.replay.output import PRIVATE
from streams.replay.run import replay
from streams.replay.seal_lines import VerifyError

AT_MS = 1_767_225_600_000
PEPPER = b"\x11" * 32


def line(room: int, channel: str, viewer: int, login: str) -> str:
    tags = f"@id={room}-{viewer};room-id={room};user-id={viewer};tmi-sent-ts={AT_MS}"
    return f"{tags} :{login}!v@v PRIVMSG #{channel} :some words\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    log = tmp_path / "chat.irc"
    said = [
        (1, "chan", 5, "ann"),
        (1, "chan", 6, "bob"),
        (1, "chan", 7, "bob"),
        (2, "twin", 5, "ann"),
        (3, "twin", 5, "ann"),
    ]
    log.write_text("".join(line(*one) for one in said))
    replay([str(log)], tmp_path / "out", FoldOptions(PolicySchedule.of(DEFAULT_POLICY), PEPPER))
    return tmp_path / "out"


def found(folder: Path, channel: str = "chan") -> Found:
    return from_folder(folder, Wanted(channel, AT_MS // 1000, None))


def test_presence_and_absence_are_proved(folder: Path) -> None:
    epoch = found(folder)
    assert epoch.identity_of("Ann") == "twitch:id:5"
    for viewer, kind in (("twitch:id:5", "presence"), ("twitch:id:99", "absence")):
        shown = verify_bundle(prove(epoch, viewer, PEPPER))
        assert (shown.kind, shown.identity) == (kind, viewer)


def test_a_login_that_two_bore_is_not_guessed(folder: Path) -> None:
    with pytest.raises(NotFound, match=r"twitch:id:6.*twitch:id:7"):
        found(folder).identity_of("bob")
    with pytest.raises(NotFound, match=r"twitch:id:2.*twitch:id:3"):
        found(folder, "twin")
    assert found(folder, "twitch:id:3").header.channel == "twitch:id:3"


def test_without_the_private_file_nobody_is_said_to_be_absent(folder: Path) -> None:
    (folder / PRIVATE).unlink()
    epoch = found(folder)
    with pytest.raises(NotFound, match="nothing there says who"):
        epoch.identity_of("ann")
    assert verify_bundle(prove(epoch, "twitch:id:5", PEPPER)).kind == "presence"


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a byte of the dump": lambda dump: dump[:20] + bytes([dump[20] ^ 1]) + dump[21:],
    "a leaf taken": lambda dump: dump[:-96],
    "a piece of a leaf": lambda dump: dump[:-5],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_nothing_is_proved_from_a_damaged_folder(folder: Path, damage: str) -> None:
    path = next((folder / "leaves" / "chan").iterdir())
    path.write_bytes(zstandard.compress(DAMAGE[damage](zstandard.decompress(path.read_bytes()))))
    with pytest.raises((ProofError, VerifyError)):
        found(folder)
    shutil.rmtree(folder / "leaves")
    with pytest.raises(VerifyError):
        found(folder)
