"""A Faust worker broken on purpose, started as `twzrd work` is: `python -m tests.integration.matrix.broken_worker`.

Only the experiment uses it: it shows that the matrix notices what it is there to notice.
"""

import argparse
from pathlib import Path

from infra import compose
from infra.settings import load
from streams.agents.app import run_worker
from streams.agents.settings import Faults, WorkerSettings


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-guard", action="store_true", help="fold whatever comes, gaps and all")
    parser.add_argument("--no-low-water", action="store_true", help="Faust's own commits")
    parser.add_argument("--home", type=Path)
    parser.add_argument("--instance")
    given = parser.parse_args()
    settings = load(given.home)
    run_worker(
        WorkerSettings(
            kafka=compose.kafka_settings(settings, settings.kafka_bootstrap),
            data_dir=settings.home / "faust",
            group_instance_id=given.instance,
            web_port=None,
        ),
        compose.schedule_of(settings.policy_file),
        compose.pepper_of(settings),
        faults=Faults(guard=not given.no_guard, low_water=not given.no_low_water),
    )


if __name__ == "__main__":
    main()
