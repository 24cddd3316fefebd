"""The cluster on disk: made once, its settings written anew before every start.

In: an empty place and a server account. Out: a directory that `postgres -D` accepts, with a database `twzrd`, whose
only door is a unix socket, and whose only guest is the system user that starts it (peer authentication, no password).
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

from infra.postgres.binaries import POSTGRES_MAJOR, Account, run_as
from infra.postgres.errors import PostgresError, PostgresUnavailable

DATABASE = "twzrd"
ROLE = "twzrd"
ROLES = (ROLE, "twzrd_web", "twzrd_payer", "twzrd_signer")
"""Who may come in: the owner, and the roles of the claim side (docs/claims.md, Roles), once a migration made them."""
INITDB_TIMEOUT_S = 120.0

# A laptop's share: enough for the log and its read models, small beside everything else that runs there.
_SETTINGS: dict[str, str] = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "cluster_name": "'twzrd'",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "effective_cache_size": "1GB",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "jit": "off",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",
    # Seven files, one a weekday, each begun anew: the server's log is bounded.
    "logging_collector": "on",
    "log_directory": "'log'",
    "log_filename": "'postgres-%u.log'",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
}
# For tests: nothing survives a power cut, everything committed survives kill -9 (so synchronous_commit stays on: with
# fsync off it costs one write and no wait; off, the last 0.6 s of commits die with the postmaster).
_NOT_DURABLE: dict[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "logging_collector": "off",
}


def data_argument() -> str:
    """How a program of Postgres is told its data directory, in which it is started.

    Run as another account it may not be able to walk the path (a home of mode 0700). Linux follows /proc/self/cwd
    without asking the parents, so none of them has to be opened up; nor does pg_ctl's shell see an odd name.
    """
    return "/proc/self/cwd" if os.path.isdir("/proc/self/cwd") else "."


def ensure_cluster(cluster: Path, bin_dir: Path, account: Account | None, durable: bool) -> None:
    """Make the cluster if it is not there; a cluster half made by a killed process is thrown away first.

    Raises PostgresUnavailable for a cluster of another major version.
    """
    version_file = cluster / "PG_VERSION"
    if version_file.exists():
        version = version_file.read_text().strip()
        if version != str(POSTGRES_MAJOR):
            raise PostgresUnavailable(
                f"{cluster} was made by Postgres {version}, this program brings {POSTGRES_MAJOR}; "
                "export it with the old version (pg_dump) or choose another --home"
            )
        return
    unfinished = cluster.with_name(cluster.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if account:
        os.chown(unfinished, account.uid, account.gid)
    initdb = [str(bin_dir / "initdb"), "-D", data_argument(), "-U", ROLE, "--auth=reject"]
    initdb += ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _must(initdb if durable else [*initdb, "--no-sync"], account, unfinished)
    single = [str(bin_dir / "postgres"), "--single", "-D", data_argument(), "postgres"]
    _must(single, account, unfinished, stdin=f"create database {DATABASE};\n")
    configuration = unfinished / "postgresql.conf"
    text = (
        configuration.read_text()
        + "\ninclude 'twzrd.conf'\n# Yours; never written by twzrd.\ninclude_if_exists 'local.conf'\n"
    )
    _write(configuration, text, account)
    unfinished.rename(cluster)


def write_settings(cluster: Path, socket_dir: str, account: Account | None, durable: bool) -> None:
    """Write settings and doors for the next start. `socket_dir` is absolute, or "." for the cluster itself."""
    settings = _SETTINGS | ({} if durable else _NOT_DURABLE) | {"unix_socket_directories": f"'{socket_dir}'"}
    lines = ["# Written by twzrd before every start; your own settings go to local.conf beside it."]
    lines += [f"{name} = {value}" for name, value in settings.items()]
    _write(cluster / "twzrd.conf", "\n".join(lines) + "\n", account)
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        raise PostgresUnavailable(
            f"user id {os.geteuid()} has no entry in /etc/passwd, which Postgres needs; add one or run as a named user"
        ) from None
    _write(cluster / "pg_hba.conf", f"local all {','.join(ROLES)} peer map=twzrd\n", account)
    _write(cluster / "pg_ident.conf", "".join(f'twzrd "{user}" {role}\n' for role in ROLES), account)


def _must(argv: list[str], account: Account | None, cwd: Path, stdin: str = "") -> None:
    try:
        code, output = run_as(argv, account, cwd, INITDB_TIMEOUT_S, stdin)
    except (OSError, subprocess.SubprocessError) as error:
        raise PostgresError(f"could not run {argv[0]}: {error}; run: make setup") from error
    if code != 0:
        tail = "\n".join(output.strip().splitlines()[-6:])
        raise PostgresError(
            f"{Path(argv[0]).name} failed in {cwd} with code {code}; is the disk full? It said:\n{tail}"
        )


def _write(path: Path, text: str, account: Account | None) -> None:
    # The directory belongs to the server's account: never write through a link that it could have put there.
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        if account:
            os.fchown(descriptor, account.uid, account.gid)
        file.write(text)
    os.rename(name, path)
