"""`python -m streams.agents`: one Faust worker from its arguments alone; `twzrd work` does the same from settings."""

import argparse
from pathlib import Path

from schemas.policy import DEFAULT_POLICY, PolicySchedule
from streams.agents.app import run_worker
from streams.agents.settings import GROUP, WEB_PORT, Faults, WorkerSettings
from streams.log.kafka import KafkaSettings


def main() -> None:
    """Parse and run; ends with the worker."""
    parser = argparse.ArgumentParser(prog="python -m streams.agents", description=__doc__)
    parser.add_argument("--servers", required=True, help="host:port, comma-separated")
    parser.add_argument("--prefix", default="twzrd.", help="put before topic and group names")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--group", default=GROUP)
    parser.add_argument("--group-instance-id", help="static membership; no two living workers may share one")
    parser.add_argument("--pepper-file", type=Path, required=True, help="32 raw bytes, or 64 hex digits")
    parser.add_argument("--policy", type=Path, help="JSON; the built-in one where it is left out")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--web-host", default="127.0.0.1")
    parser.add_argument("--web-port", type=int, default=WEB_PORT, help="0: no pages")
    parser.add_argument("--session-timeout-s", type=float, default=10.0)
    parser.add_argument("--log-level", default="WARNING")
    given = parser.parse_args()
    schedule = PolicySchedule.of(DEFAULT_POLICY)
    if given.policy is not None:
        schedule = PolicySchedule.decode(given.policy.read_bytes(), str(given.policy))
    settings = WorkerSettings(
        kafka=KafkaSettings(given.servers, partitions=given.partitions, prefix=given.prefix),
        data_dir=given.data_dir,
        group=given.group,
        group_instance_id=given.group_instance_id,
        web_host=given.web_host,
        web_port=given.web_port or None,
        session_timeout_s=given.session_timeout_s,
        log_level=given.log_level,
    )
    run_worker(settings, schedule, read_pepper(given.pepper_file), faults=Faults())


def read_pepper(path: Path) -> bytes:
    """The 32 bytes of a pepper file; SystemExit naming the file where it holds anything else."""
    data = path.read_bytes()
    if len(data) != 32:
        try:
            data = bytes.fromhex(data.decode().strip())
        except ValueError:
            data = b""
    if len(data) != 32:
        raise SystemExit(f"{path}: a pepper is 32 raw bytes or 64 hex digits; make one with `twzrd keys init`")
    return data


if __name__ == "__main__":
    main()
