"""The embedded server: one for many processes, back after any kill -9, and polite to the machine when run as root."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from infra.postgres import EmbeddedPostgres, PostgresError, PostgresUnavailable

pytestmark = pytest.mark.postgres

# Another process that uses the server until its standard input ends; says its DSN when it is up.
OTHER_PROCESS = """
import sys
from pathlib import Path
from infra.postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
print(server.start(), flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path / "pg", durable=False)
    yield made
    made.stop()


def query(dsn: str, statement: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(dsn)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(run())


def other_process(data_dir: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", OTHER_PROCESS, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline().startswith("postgresql://")
    return process


def wait_gone(pid: int) -> None:
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=20)


def test_starts_stops_and_keeps_its_data(server: EmbeddedPostgres) -> None:
    dsn = server.start()
    assert query(dsn, "create table kept as select 7 as n") is None
    server.stop()
    assert server.running_pid() is None
    assert server.start() == dsn
    assert query(dsn, "select n from kept") == 7


def test_second_start_in_the_same_process_is_the_same_server(server: EmbeddedPostgres) -> None:
    dsn = server.start()
    pid = server.running_pid()
    assert server.start() == dsn
    with EmbeddedPostgres(server.data_dir) as again:
        assert again == dsn
    assert server.running_pid() == pid


def test_last_of_several_processes_stops_it(server: EmbeddedPostgres) -> None:
    other = other_process(server.data_dir)
    server.start()
    pid = server.running_pid()
    other.communicate("")
    assert other.returncode == 0
    assert server.running_pid() == pid
    server.stop()
    assert server.running_pid() is None


def test_killed_owner_does_not_count_any_more(server: EmbeddedPostgres) -> None:
    other = other_process(server.data_dir)
    pid = server.running_pid()
    other.send_signal(signal.SIGKILL)
    other.communicate()
    assert server.running_pid() == pid, "the server outlives its owner"
    server.start()
    assert server.running_pid() == pid, "and is used again"
    server.stop()
    assert server.running_pid() is None


@pytest.mark.parametrize(
    "folder", ["pg", "a folder, with 'odd' \"names\" $HOME", "long" * 30], ids=["plain", "odd", "long"]
)
def test_killed_postmaster_comes_back_under_the_same_dsn(tmp_path: Path, folder: str) -> None:
    server = EmbeddedPostgres(tmp_path / folder, durable=False)
    dsn = server.start()
    query(dsn, "create table kept as select 7 as n")
    for _ in range(3):
        pid = server.running_pid()
        assert pid
        os.kill(pid, signal.SIGKILL)
        assert server.start() == dsn
        assert query(dsn, "select n from kept") == 7
        assert server.running_pid() != pid
    server.stop()


def test_a_zombie_postmaster_is_dead(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.start()
    server.stop()
    # A child that nobody takes off the process table, under the name that the pid file gives.
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    pid_file = server.cluster / "postmaster.pid"
    pid_file.write_text(f"{child.pid}\n/proc/self/cwd\n1795414766\n5432\n.\n\n 1 1\nready\n")
    assert server.running_pid() is None
    assert query(server.start(), "select 1") == 1
    child.wait()


def test_pid_of_a_stranger_is_not_ours(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    pid_file = server.cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/proc/self/cwd\n1795414766\n5432\n.\n\n 1 1\nready\n")
    assert query(server.start(), "select 1") == 1


def test_cluster_half_made_by_a_killed_process_is_made_again(server: EmbeddedPostgres) -> None:
    half = server.data_dir / "cluster.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    assert query(server.start(), "select 1") == 1
    assert not half.exists()


def test_cluster_of_another_version_is_refused(server: EmbeddedPostgres) -> None:
    server.cluster.mkdir(parents=True)
    (server.cluster / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresUnavailable, match="made by Postgres 12"):
        server.start()


def test_failed_start_shows_the_servers_own_words(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.cluster / "local.conf").write_text("shared_buffers = 'plenty'\n")
    with pytest.raises(PostgresError, match="plenty"):
        server.start()
    (server.cluster / "local.conf").write_text("work_mem = '5MB'\n")
    assert query(server.start(), "show work_mem") == "5MB"


def test_durable_by_default(tmp_path: Path) -> None:
    with EmbeddedPostgres(tmp_path / "pg") as dsn:
        shown = {name: query(dsn, f"show {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")}
    assert shown == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def test_only_the_owner_gets_in_and_no_directory_is_opened_for_the_server(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "home" / "pg", durable=False)
    with server as dsn:
        assert query(dsn, "select current_user") == "twzrd"
        pid = server.running_pid()
        assert pid
        assert psutil.Process(pid).uids().effective != 0, "Postgres runs unprivileged"
        for folder in (closed, server.data_dir, server.cluster):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert query(dsn, "show listen_addresses") == ""
        assert query(
            dsn, "select string_agg(concat_ws(' ', type, user_name, auth_method), ',') from pg_hba_file_rules"
        ) == ("local {twzrd,twzrd_web,twzrd_payer,twzrd_signer} peer")
        me = pwd.getpwuid(os.geteuid()).pw_name
        assert (
            query(dsn, "select string_agg(sys_name || '=' || pg_username, ',') from pg_ident_file_mappings")
            == f"{me}=twzrd,{me}=twzrd_web,{me}=twzrd_payer,{me}=twzrd_signer"
        )
        query(dsn, "create role other login superuser")
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            query(dsn.replace("twzrd@", "other@"), "select 1")


# Everything is imported first: the account may not be able to read root's Python.
AS_NORMAL_USER = """
import asyncio, os, pwd, sys
from pathlib import Path
import asyncpg, psutil
from infra.postgres import EmbeddedPostgres

async def check(dsn):
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("select current_user") == "twzrd"
    await connection.close()

server = EmbeddedPostgres(Path(sys.argv[1]) / "pg", durable=False)
asyncio.run(asyncio.sleep(0))
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
os.environ.update(HOME="/nonexistent", USER="nobody")
asyncio.run(check(server.start()))
pid = server.running_pid()
assert psutil.Process(pid).uids().real == os.getuid() != 0
os.kill(pid, 9)
asyncio.run(check(server.start()))
server.stop()
assert server.running_pid() is None
print("done")
"""


def test_normal_user_runs_it_as_themselves() -> None:
    if os.geteuid() != 0:
        return  # then every other test here shows it
    # pytest's own folders are root's alone.
    with tempfile.TemporaryDirectory() as folder:
        shutil.chown(folder, "nobody")
        done = subprocess.run(
            [sys.executable, "-c", AS_NORMAL_USER, folder], capture_output=True, text=True, check=False
        )
    assert done.stdout == "done\n", done.stderr


def test_root_that_may_not_share_its_checkout_gets_a_copy_of_the_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        return  # a normal user runs the programs where they are
    from infra.postgres import binaries

    package = binaries.install_dir().parent
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    for folder in (package, package.with_name(package.name + ".libs")):
        subprocess.run(["cp", "-r", str(folder), str(hidden)], check=True)
    monkeypatch.setattr(binaries, "install_dir", lambda: hidden / package.name / "pginstall18")
    monkeypatch.setattr(binaries, "_ROOT_COPY", Path(f"/tmp/twzrd-test-copy-{os.getpid()}"))
    try:
        with EmbeddedPostgres(tmp_path / "pg", durable=False) as dsn:
            assert query(dsn, "select 1") == 1
            pid = EmbeddedPostgres(tmp_path / "pg").running_pid()
            assert Path(psutil.Process(pid).exe()).is_relative_to(binaries._ROOT_COPY)
    finally:
        subprocess.run(["rm", "-r", str(binaries._ROOT_COPY)], check=True)


def test_destroy_refuses_while_another_process_uses_it(server: EmbeddedPostgres) -> None:
    other = other_process(server.data_dir)
    with pytest.raises(PostgresError, match="in use by another process"):
        server.destroy()
    other.communicate("")
    server.destroy()
    assert not server.data_dir.exists()


def test_each_test_has_a_database_of_its_own(pg_dsn: str) -> None:
    query(pg_dsn, "create table mine (n int)")
    assert query(pg_dsn, "select current_database()") != "twzrd"


def test_many_processes_start_it_at_once(tmp_path: Path) -> None:
    data_dir = tmp_path / "pg"
    script = OTHER_PROCESS
    others = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    dsns = {other.stdout.readline() for other in others if other.stdout}
    for other in others:
        other.communicate("")
    assert len(dsns) == 1
    assert [other.returncode for other in others] == [0] * 4
    assert EmbeddedPostgres(data_dir).running_pid() is None
