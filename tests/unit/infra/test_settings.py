"""Settings: read in one place, strict about names and values, every message with its mend."""

import dataclasses
from pathlib import Path

import pytest

from infra import settings
from infra.settings import Settings, SettingsError, load
from streams.collect.live.helix import MAX_PAGES, PAGE


def test_defaults_need_no_environment() -> None:
    found = load(environ={})
    assert found.home == Path("~/.twzrd").expanduser()
    assert (found.log, found.engine, found.partitions) == ("postgres", "faust", 8)
    assert (found.database_url, found.kafka_bootstrap, found.topic_prefix) == ("", "", "")
    assert found.pepper_path == found.home / "keys" / "pepper"
    assert found.operator_key_path == found.home / "keys" / "operator"
    assert found.archive_path == found.home / "archive"
    assert found.postgres_dir == found.home / "postgres"


def test_every_setting_is_read_from_its_variable() -> None:
    given = {
        "TWZRD_HOME": "/srv/twzrd",
        "TWZRD_LOG": "kafka",
        "TWZRD_ENGINE": "direct",
        "TWZRD_DATABASE_URL": "postgresql://u:p@db:5432/x",
        "TWZRD_KAFKA_BOOTSTRAP": "a:9092,b:9092",
        "TWZRD_PARTITIONS": "32",
        "TWZRD_TOPIC_PREFIX": "dev.",
        "TWZRD_POLICY_FILE": "/etc/policy.json",
        "TWZRD_PROJECTIONS": "one:Cheers, two.three:Raids",
        "TWZRD_PEPPER_FILE": "/etc/pepper",
        "TWZRD_OPERATOR_KEY_FILE": "/etc/operator",
        "TWZRD_ARCHIVE_DIR": "/mnt/archive",
        "TWZRD_CACHE": "/var/cache/x",
        "TWZRD_API_HOST": "::1",
        "TWZRD_API_PORT": "0",
        "TWZRD_CHAT_SERVER": "localhost:6697",
        "TWZRD_CHAT_CA_FILE": "/etc/ca.pem",
        "TWZRD_CHAT_MEMBERSHIP": "on",
        "TWZRD_BATCH_ENVELOPES": "1000",
        "TWZRD_BATCH_WAIT_MS": "5",
        "TWZRD_BATCH_BYTES": "1000000",
        "TWZRD_TWITCH_CLIENT_ID": "abc",
        "TWZRD_TWITCH_CLIENT_SECRET": "wont-be-seen",
        "TWZRD_TWITCH_CREDENTIALS_FILE": "/etc/twitch",
        "TWZRD_TWITCH_ID_URL": "http://127.0.0.1:1/oauth2",
        "TWZRD_TWITCH_API_URL": "https://helix.example",
        "TWZRD_DISCOVER_VIEWERS": "100",
        "TWZRD_DISCOVER_LIVE_MIN": "5",
        "TWZRD_DISCOVER_CHANNELS": "10",
        "TWZRD_CLOSE_AFTER_MIN": "20",
        "TWZRD_KEEP_TEXT": "on",
        "TWZRD_RAW_DIR": "/mnt/raw",
        "TWZRD_RAW_DAYS": "7",
        "TWZRD_COLLECTOR_NAME": "basement",
        "TWZRD_SPOOL_MB": "64",
        "TWZRD_HISTORY_URL": "https://history.example/{channel}",
        "TWZRD_HISTORY_PER_MINUTE": "6",
        "TWZRD_PUBLIC_URL": "https://rewards.example",
        "TWZRD_TRUSTED_PROXIES": "10.0.0.0/8,::1",
        "TWZRD_WEB_DATABASE_URL": "postgresql://twzrd_web:p@db:5432/x",
        "TWZRD_PAYER_DATABASE_URL": "postgresql://twzrd_payer:p@db:5432/x",
        "TWZRD_SIGNER_DATABASE_URL": "postgresql://twzrd_signer:p@db:5432/x",
        "TWZRD_SESSION_KEY_FILE": "/etc/session",
        "TWZRD_MARKER_SECRET_FILE": "/etc/marker",
        "TWZRD_MINT_AUTHORITY_FILE": "/etc/authority.json",
        "TWZRD_FEE_PAYER_FILE": "/etc/payer.json",
        "TWZRD_SIGNER_SOCKET": "/run/signer.sock",
        "TWZRD_PAYER_SOCKET": "/run/payer.sock",
        "TWZRD_CLUSTER": "devnet",
        "TWZRD_RPC_URLS": "https://a.example/?key=wont-be-seen,https://b.example",
        "TWZRD_MINT": "AAHd7u22jCMgmbF7ATkiY3BhkifD4MN3Vbsy4eYQGWN5",
        "TWZRD_CLAIM_SOURCE": "treasury",
        "TWZRD_CLAIM_FEE": "viewer",
        "TWZRD_CLAIM_MIN_BASE_UNITS": "1000000000",
        "TWZRD_CLAIM_VIEWER_DAY_BASE_UNITS": "5",
        "TWZRD_CLAIM_WALLET_DAY_BASE_UNITS": "6",
        "TWZRD_ACTIONS": "on",
        "TWZRD_ENABLE_DEBUG": "on",
        "TWZRD_RPC_PER_S": "90",
        "TWZRD_DEMO_WALLET": "on",
        "TWZRD_PRIORITY_FEE_MICRO_LAMPORTS": "1000",
        "TWZRD_LOG_LEVEL": "debug",
        "TWZRD_LOG_FORMAT": "json",
    }
    assert {name for name, _, _ in settings.variables()} == set(given)
    found = dataclasses.asdict(load(environ=given))
    for secret in ("twitch_client_secret", "rpc_urls"):
        assert found.pop(secret).reveal() == given.pop(f"TWZRD_{secret.upper()}")
    assert {k: str(v) for k, v in found.items()} == {k.removeprefix("TWZRD_").lower(): v for k, v in given.items()}


def test_a_secret_is_shown_nowhere() -> None:
    found = load(environ={"TWZRD_TWITCH_CLIENT_SECRET": "wont-be-seen"})
    shown = f"{found} {found!r} {dataclasses.asdict(found)} {found.twitch_client_secret} {settings.variables()}"
    assert "wont-be-seen" not in shown
    assert found != load(environ={}) and found == load(environ={"TWZRD_TWITCH_CLIENT_SECRET": "wont-be-seen"})


def test_a_secret_that_is_not_allowed_is_not_shown_either() -> None:
    with pytest.raises(SettingsError, match=r"TWZRD_RPC_URLS=\(hidden\) is not allowed") as caught:
        load(environ={"TWZRD_RPC_URLS": "ftp://wont-be-seen"})
    assert "wont-be-seen" not in str(caught.value)


@pytest.mark.parametrize("variable", ["TWZRD_DATABASE_URL", "TWZRD_WEB_DATABASE_URL", "TWZRD_SIGNER_DATABASE_URL"])
@pytest.mark.parametrize(
    "value",
    [
        "mysql://ann:wont-be-seen@db/x",
        "postgresql:/a:wont-be-seen@db",
        "wont-be-seen",
        "postgresql://a:wont-be-seen@db:x/y",
    ],
)
def test_a_database_s_url_that_is_not_allowed_is_not_shown(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"{variable}=\(hidden\) is not allowed.* postgresql://") as caught:
        load(environ={variable: value})
    assert "wont-be-seen" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    ["a@db:5432/x", "a:b%40c@[::1]:5432/x", "db", "a@one:5432,two/x", "twzrd@/twzrd?host=%2Ftmp%2Fx&port=5432", ""],
)
def test_every_form_of_a_database_s_url_is_taken(value: str) -> None:
    assert load(environ={"TWZRD_DATABASE_URL": f"postgresql://{value}"}).database_url == f"postgresql://{value}"


def test_a_password_in_another_address_is_not_shown_either() -> None:
    with pytest.raises(SettingsError, match=r"'http://\(hidden\)@proxy.example'") as caught:
        load(environ={"TWZRD_TWITCH_ID_URL": "http://ann:wont-be-seen@proxy.example"})
    assert "wont-be-seen" not in str(caught.value)


def test_a_long_value_is_cut_in_its_error() -> None:
    with pytest.raises(SettingsError, match="from 1 to 1024") as caught:
        load(environ={"TWZRD_PARTITIONS": "1" * 100_000})
    assert len(str(caught.value)) < 300


def test_a_home_that_cannot_be_found_is_an_error_of_one_line() -> None:
    with pytest.raises(SettingsError, match=r"home ~no_such_user_here is not allowed.* in full"):
        load(Path("~no_such_user_here"), {})


def test_home_of_the_command_line_goes_before_the_variable() -> None:
    assert load(Path("/a"), {"TWZRD_HOME": "/b"}).home == Path("/a")
    assert load(None, {"TWZRD_HOME": "/b"}).home == Path("/b")


def test_relative_paths_become_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path("here"), {}).home == tmp_path / "here"


def test_empty_variable_counts_as_not_set() -> None:
    assert load(environ={"TWZRD_PARTITIONS": "", "TWZRD_LOG": ""}) == load(environ={})


def test_unknown_variable_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(SettingsError, match=r"TWZRD_PARTITION is not .*TWZRD_PARTITIONS\?"):
        load(environ={"TWZRD_PARTITION": "4"})
    with pytest.raises(SettingsError, match=r"TWZRD_XYZZY .*unset it, or use one of TWZRD_HOME"):
        load(environ={"TWZRD_XYZZY": "4"})


def test_what_only_tests_read_is_no_mistake_and_others_variables_are_not_ours() -> None:
    assert load(environ={"TWZRD_SEED": "1", "TWZRD_REQUIRE_KAFKA": "1", "PATH": "/bin"}) == load(environ={})


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("TWZRD_LOG", "mysql", "one of postgres, kafka"),
        ("TWZRD_ENGINE", "Faust", "one of faust, direct"),
        ("TWZRD_PARTITIONS", "0", "from 1 to 1024"),
        ("TWZRD_PARTITIONS", "-1", "from 1 to 1024"),
        ("TWZRD_PARTITIONS", "١", "from 1 to 1024"),
        ("TWZRD_PARTITIONS", "8.0", "from 1 to 1024"),
        ("TWZRD_API_PORT", "65536", "from 0 to 65535"),
        ("TWZRD_HISTORY_URL", "https://history.example/", "{channel}"),
        ("TWZRD_TRUSTED_PROXIES", "10.0.0.1/8", "networks like 10.0.0.0/8"),
        ("TWZRD_KAFKA_BOOTSTRAP", "localhost", "host:port"),
        ("TWZRD_KAFKA_BOOTSTRAP", "a:9092,b", "host:port"),
        ("TWZRD_TOPIC_PREFIX", "a b", "letters, digits"),
        ("TWZRD_LOG_LEVEL", "loud", "one of debug"),
        ("TWZRD_KAFKA_BOOTSTRAP", "a:²", "host:port"),
        ("TWZRD_CHAT_SERVER", "a:" + "9" * 90, "host:port"),
        ("TWZRD_TWITCH_API_URL", "http://example.com", "https://"),
        ("TWZRD_TWITCH_API_URL", "http://127.0.0.1.example.com", "on this machine"),
        ("TWZRD_TWITCH_API_URL", "https://", "on this machine"),
        ("TWZRD_RAW_DIR", "~no_such_user_here/raw", "a path"),
        ("TWZRD_KEEP_TEXT", "yes", "one of off, on"),
        ("TWZRD_CLOSE_AFTER_MIN", "1", "from 2 to 1440"),
        ("TWZRD_PEPPER_FILE", "a\0b", "a path"),
    ],
)
def test_refused_value_is_named_with_what_it_may_be(variable: str, value: str, allowed: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(environ={variable: value})
    assert variable in str(caught.value) and repr(value) in str(caught.value) and allowed in str(caught.value)


def test_settings_cannot_be_changed_afterwards() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(environ={}).partitions = 9  # type: ignore[misc]


def test_every_setting_says_what_it_means() -> None:
    assert all(meaning for _, _, meaning in settings.variables())
    assert len(settings.variables()) == len(dataclasses.fields(Settings))


def test_the_discovery_may_not_be_asked_for_more_channels_than_it_reads() -> None:
    assert load(environ={"TWZRD_DISCOVER_CHANNELS": str(PAGE * MAX_PAGES)}).discover_channels == PAGE * MAX_PAGES
    with pytest.raises(SettingsError, match="TWZRD_DISCOVER_CHANNELS"):
        load(environ={"TWZRD_DISCOVER_CHANNELS": str(PAGE * MAX_PAGES + 1)})


def test_colours_are_not_wanted_where_people_or_the_terminal_say_so() -> None:
    assert settings.colours_wanted({"TERM": "xterm"}) and settings.colours_wanted({"NO_COLOR": ""})
    assert not settings.colours_wanted({"NO_COLOR": "1"})
    assert not settings.colours_wanted({"TERM": "dumb"})
