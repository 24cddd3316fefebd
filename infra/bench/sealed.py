"""A database whose log holds sealed epochs: made records through a real worker. For the rows behind the seals."""

from pathlib import Path

from infra.bench import servers
from infra.bench.bench import Bench
from infra.bench.racing import Ran, module, run

PARTITIONS = 8


def seal_into(bench: Bench, dsn: str, records: Path) -> Ran:
    """Append the records and let a worker seal them; the feeder's result."""
    pepper = bench.scratch / "pepper.raw"
    pepper.write_bytes(b"\x11" * 32)
    run(module("infra.bench.work.prepare_log", dsn, str(PARTITIONS)))
    worker: list[str | Path] = [
        "-m",
        "streams.runner",
        "--postgres",
        dsn,
        "--partitions",
        str(PARTITIONS),
        "--pepper-file",
        pepper,
    ]
    with servers.process(bench, [*worker, "--fast-cache", bench.native]):
        run(module("infra.bench.work.prepare_log", dsn, str(PARTITIONS), "leased"))
        return run(module("infra.bench.work.feed", "--postgres", dsn, "--partitions", str(PARTITIONS), records))
