"""The session key's file: made with the others, one to four lines, the newest first."""

from pathlib import Path

import pytest

from claim_api.identity.session_key import SessionKey
from infra import claiming, keys
from infra.keys import KeyFileError
from infra.settings import Settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "session"


def test_made_once_closed_and_never_overwritten(file: Path) -> None:
    made = keys.init_session_key(file)
    assert (made.name, made.made_now, file.stat().st_mode & 0o777) == ("session", True, 0o600)
    before = file.read_bytes()
    assert keys.init_session_key(file).made_now is False and file.read_bytes() == before
    assert file.read_text().strip() not in repr(made)


def test_a_new_line_on_top_replaces_the_key(file: Path) -> None:
    keys.init_session_key(file)
    (old,) = keys.read_session_keys(file)
    file.write_text("ab" * 32 + "\n" + file.read_text())
    assert keys.read_session_keys(file) == [b"\xab" * 32, old]
    assert len(keys.show_session_key(file).fingerprint.split()) == 2


@pytest.mark.parametrize("text", ["", "\n", "ab" * 31, "zz" * 32, "\n".join(["ab" * 32] * 5), "ab" * 32 + " x"])
def test_a_malformed_file_is_refused_without_showing_it(file: Path, text: str) -> None:
    keys.init_session_key(file)
    file.write_text(text)
    with pytest.raises(KeyFileError, match="session key file") as caught:
        keys.read_session_keys(file)
    assert "ab" * 31 not in str(caught.value)


def test_a_file_open_to_others_is_refused(file: Path) -> None:
    keys.init_session_key(file)
    file.chmod(0o640)
    with pytest.raises(KeyFileError, match="chmod 600"):
        keys.read_session_keys(file)


def test_what_a_key_signs_sealed_or_vouched_for_no_other_key_takes() -> None:
    one, other = SessionKey([b"\x01" * 32]), SessionKey([b"\x02" * 32])
    both, of_session = SessionKey([b"\x02" * 32, b"\x01" * 32]), b"h" * 32
    value, token, sealed = one.sign("c", b"s" * 32), one.csrf_token(of_session), one.sealed(of_session, "t")
    for key, takes in ((one, True), (both, True), (other, False)):
        assert (key.verified("c", value) is not None) is takes
        assert key.is_csrf_token(of_session, token) is takes
        assert (key.opened(of_session, sealed) == "t") is takes
    assert one.verified("d", value) is None and not one.is_csrf_token(b"i" * 32, token)
    assert one.opened(b"i" * 32, sealed) is None and one.opened(of_session, b"") is None
    assert "\x01" not in repr(one)


@pytest.mark.parametrize(
    ("dsn", "web"),
    [
        ("postgresql://twzrd@/twzrd?host=%2Frun&port=5432", "postgresql://twzrd_web@/twzrd?host=%2Frun&port=5432"),
        ("postgresql://u:p%40@db:5433/x", "postgresql://twzrd_web@db:5433/x"),
        ("postgres://db/x", "postgres://twzrd_web@db/x"),
    ],
)
def test_the_web_roles_dsn_is_the_owners_with_another_user_and_no_password(dsn: str, web: str) -> None:
    assert claiming.web_dsn(Settings(), dsn) == web
    assert claiming.web_dsn(Settings(web_database_url="postgresql://w:q@h/x"), dsn) == "postgresql://w:q@h/x"


def test_a_server_that_listens_everywhere_is_reached_here() -> None:
    assert claiming.reachable("http://0.0.0.0:8480") == "http://127.0.0.1:8480"
    assert claiming.reachable("http://[::]:8480") == "http://[::1]:8480"
    assert claiming.reachable("http://10.0.0.1:8480") == "http://10.0.0.1:8480"
