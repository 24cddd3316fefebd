"""Shows that the matrix can fail: the Faust way with its safeguards taken off, one by one and both.

    python -m tests.integration.matrix.experiment [--rounds N] [--seed S]

Prints one line per run and a table; docs/decisions.md keeps the figures of one such run. Ends with code 1 where the
sound worker did not come out exact, or where none of the broken ones was found out.
"""

import argparse
import asyncio
import logging
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Final

from infra.kafka import DevKafka
from tests.integration.matrix import matrix, servers, ways
from tests.integration.matrix.workers import Entry

BROKEN: Final = (sys.executable, "-m", "tests.integration.matrix.broken_worker")
VARIANTS: Final[dict[str, tuple[str, ...]]] = {
    "sound": (),
    "guard off": ("--no-guard",),
    "Faust's commits": ("--no-low-water",),
    "stock Faust": ("--no-guard", "--no-low-water"),
}


async def _one(variant: str, seed: int, server: servers.Server, bootstrap: str, folder: Path) -> matrix.Report:
    name = "-".join(variant.lower().replace("'", "").split())
    entry = Entry((*BROKEN, *VARIANTS[variant]), ())
    way = ways.on_kafka(folder / f"{name}-{seed}", "faust", bootstrap, f"{name}-{seed}.", entry)
    return await matrix.run(way, server, seed, folder / f"{name}-{seed}")


async def _all(rounds: int, seed: int, folder: Path) -> bool:
    kafka = DevKafka(folder / "kafka")
    bootstrap, server = kafka.start(), servers.broker(kafka)
    found: dict[str, list[matrix.Report]] = {variant: [] for variant in VARIANTS}
    try:
        for number in range(rounds):
            for pair in (("sound", "stock Faust"), ("guard off", "Faust's commits")):
                runs = (_one(variant, seed + number, server, bootstrap, folder) for variant in pair)
                for variant, report in zip(pair, await asyncio.gather(*runs), strict=True):
                    found[variant].append(report)
                    print(f"{variant}: {report}", flush=True)
    finally:
        kafka.stop()
    print(f"\n{'worker':<18}{'runs':>6}{'sealed':>8}{'wrong':>8}{'missing':>9}{'notices missing':>17}{'extra':>8}")
    for variant, reports in found.items():
        missing = [one for report in reports for one in report.differences.missing]
        seals = sum(one.startswith("seal ") for one in missing)
        sealed = sum(report.seals for report in reports)
        wrong = sum(len(report.differences.wrong) for report in reports)
        extra = sum(len(report.differences.extra) for report in reports)
        row = f"{len(reports):>6}{sealed:>8}{wrong:>8}{seals:>9}{len(missing) - seals:>17}{extra:>8}"
        print(f"{variant:<18}{row}")
    sound = not any(one.differences for one in found["sound"])
    noticed = any(one.differences for variant, reports in found.items() if variant != "sound" for one in reports)
    return sound and noticed


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None)
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # the broker is killed again and again
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="twzrd-matrix-") as folder:
        sys.exit(0 if asyncio.run(_all(given.rounds, seed, Path(folder))) else 1)


if __name__ == "__main__":
    main()
