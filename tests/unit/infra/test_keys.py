"""Keys: made once, closed to others, never overwritten, and never shown."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from blake3 import blake3

from infra import keys
from infra.keys import KeyFileError
from streams.chain import keyfile


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "home" / "keys" / "pepper", tmp_path / "home" / "keys" / "operator"


def test_made_once_with_mode_0600_in_a_folder_of_0700(files: tuple[Path, Path]) -> None:
    old = os.umask(0)
    try:
        made = keys.init(*files)
    finally:
        os.umask(old)
    assert [(state.name, state.made_now) for state in made] == [("pepper", True), ("operator", True)]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert len(bytes.fromhex(file.read_text())) == 32
    assert stat.S_IMODE(files[0].parent.stat().st_mode) == 0o700
    assert sorted(os.listdir(files[0].parent)) == ["operator", "pepper"], "nothing half made is left"


def test_never_overwritten(files: tuple[Path, Path]) -> None:
    keys.init(*files)
    before = [file.read_bytes() for file in files]
    files[1].unlink()
    again = keys.init(*files)
    assert [state.made_now for state in again] == [False, True]
    assert files[0].read_bytes() == before[0]
    assert files[1].read_bytes() != before[1]


def test_two_at_once_agree_on_one_key(files: tuple[Path, Path]) -> None:
    with ThreadPoolExecutor(8) as pool:
        states = list(pool.map(lambda _: keys.init(*files), range(16)))
    assert len({state[0].fingerprint for state in states}) == 1
    assert sum(state[0].made_now for state in states) == 1


def test_a_link_in_the_place_of_the_key_is_not_written_through(files: tuple[Path, Path], tmp_path: Path) -> None:
    files[0].parent.mkdir(parents=True)
    files[0].symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyFileError):
        keys.init(*files)
    assert not (tmp_path / "elsewhere").exists()


def test_show_gives_the_pepper_commit_of_the_seals_and_no_secret(files: tuple[Path, Path]) -> None:
    keys.init(*files)
    pepper, operator = keys.show(*files)
    assert pepper.fingerprint == blake3(b"\x04" + keys.read_pepper(files[0])).hexdigest()
    for file in files:
        assert file.read_text().strip() not in repr([pepper, operator])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_file_open_to_others_is_refused_with_the_mend(files: tuple[Path, Path], mode: int) -> None:
    keys.init(*files)
    files[0].chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {files[0]}"):
        keys.read_pepper(files[0])


@pytest.mark.parametrize("text", ["", "00" * 31, "00" * 33, "zz" * 32, "00" * 31 + " 0", "ä" * 32])
def test_malformed_file_is_refused_without_showing_it(files: tuple[Path, Path], text: str) -> None:
    keys.init(*files)
    files[0].write_text(text)
    with pytest.raises(KeyFileError) as caught:
        keys.read_pepper(files[0])
    assert str(files[0]) in str(caught.value)
    assert not text or text not in str(caught.value)
    with pytest.raises(KeyFileError):
        keys.init(*files)
    assert files[0].read_text() == text, "left as it was"


def test_missing_file_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="twzrd keys init"):
        keys.read_operator_key(tmp_path / "operator")


def test_backup_is_a_closed_copy_and_overwrites_nothing(files: tuple[Path, Path], tmp_path: Path) -> None:
    keys.init(*files)
    marker, authority = files[0].with_name("marker"), files[0].with_name("mint-authority.json")
    keys.init_marker_secret(marker)
    keyfile.read_or_make(authority, "mint authority")
    named = {path.name: path for path in (*files, marker, authority, files[0].with_name("fee-payer.json"))}
    copies = keys.backup(named, tmp_path / "backup")
    assert [copy.name for copy in copies] == ["pepper", "operator", "marker", "mint-authority.json"]
    assert [copy.read_bytes() for copy in copies] == [named[copy.name].read_bytes() for copy in copies]
    assert all(stat.S_IMODE(copy.stat().st_mode) == 0o600 for copy in copies)
    assert keys.show(*copies[:2])[0].fingerprint == keys.show(*files)[0].fingerprint
    (tmp_path / "backup" / "operator").rename(tmp_path / "operator")
    (tmp_path / "backup" / "pepper").rename(tmp_path / "pepper")
    with pytest.raises(KeyFileError, match="already there"):
        keys.backup(named, tmp_path / "backup")
    assert not (tmp_path / "backup" / "pepper").exists(), "all or nothing"


def test_a_backup_without_the_pepper_or_of_a_cut_one_is_none(files: tuple[Path, Path], tmp_path: Path) -> None:
    keys.init(*files)
    whole = files[0].read_text()
    for text in (whole[:32], ""):
        files[0].write_text(text)
        with pytest.raises(KeyFileError, match="restore it from a backup"):
            keys.backup({"pepper": files[0], "operator": files[1]}, tmp_path / "backup")
    files[0].unlink()
    with pytest.raises(KeyFileError, match="is not there"):
        keys.backup({"pepper": files[0], "operator": files[1]}, tmp_path / "backup")
    assert list((tmp_path / "backup").iterdir()) == []


def test_a_folder_in_a_key_s_place_is_named(files: tuple[Path, Path]) -> None:
    files[0].mkdir(parents=True)
    with pytest.raises(KeyFileError, match="is a folder"):
        keys.read_pepper(files[0])


def test_a_secret_by_hand_with_or_without_line_end_is_read(files: tuple[Path, Path]) -> None:
    keys.init(*files)
    for text in ("ab" * 32, "ab" * 32 + "\n", "AB" * 32 + "\r\n"):
        files[0].write_text(text)
        assert keys.read_pepper(files[0]) == b"\xab" * 32
