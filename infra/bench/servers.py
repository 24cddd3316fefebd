"""Servers and our own processes beside a row: started, waited for, ended by process id."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import asyncpg

from infra.bench.bench import Bench
from infra.bench.racing import ROOT, ContenderFailed
from infra.postgres import EmbeddedPostgres


@contextlib.contextmanager
def postgres(bench: Bench, name: str) -> Iterator[str]:
    """A durable embedded Postgres of its own; gives its DSN."""
    server = EmbeddedPostgres(bench.scratch / name)
    try:
        yield server.start()
    finally:
        server.destroy()


@contextlib.contextmanager
def process(
    bench: Bench, arguments: Sequence[str | Path], environ: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """One of our processes until the block ends; ContenderFailed with its log where it ended by itself."""
    log = bench.scratch / f"process-{time.monotonic_ns()}.log"
    with log.open("wb") as out:
        started = subprocess.Popen(
            [sys.executable, *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield started
        if started.poll() is not None:
            raise ContenderFailed(f"{arguments} ended by itself with {started.returncode}: {log.read_text()[-2000:]}")
    except ContenderFailed:
        raise
    except Exception as error:
        raise ContenderFailed(f"{error}; the process beside it said: {log.read_text()[-1500:]}") from error
    finally:
        started.terminate()
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


async def fresh_database(dsn: str, name: str, template: str = "template1") -> str:
    """A new database on the same server; returns its DSN."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'create database "{name}" template "{template}" strategy file_copy')
    finally:
        await connection.close()
    head, _, tail = dsn.partition("/twzrd?")
    return f"{head}/{name}?{tail}"
