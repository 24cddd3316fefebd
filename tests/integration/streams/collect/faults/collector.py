"""`twzrd collect` with a shorter span of the JOIN pacing; `trial` starts it with `python -m`.

The same composition, settings and signals as the command line's. Pacing alone would take 140 s for 200 channels after
every start; no option of the command line can change it, since at Twitch nobody may. --broken breaks it on purpose, to
see whether the check notices.
"""

import argparse
from pathlib import Path

from infra import collecting, logs
from infra.cli.collect import log_lines
from infra.collecting import CollectOptions
from infra.looping import run
from infra.settings import load
from infra.stopping import stop_on_signals
from streams.collect.live import claims


def main() -> None:
    """Run until a signal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--server", required=True)
    parser.add_argument("--ca", type=Path, required=True)
    parser.add_argument("--channels-file", type=Path, required=True)
    parser.add_argument("--join-window-s", type=float, required=True)
    parser.add_argument("--broken", choices=("no-margin", "no-claims"))
    given = parser.parse_args()
    if given.broken == "no-margin":
        setattr(claims, "MARGIN_MS", 0)  # noqa: B010 - Final for everybody else
    elif given.broken == "no-claims":
        setattr(claims.Observed, "claimable", lambda *_: [])  # noqa: B010
    settings = load(given.home)
    logs.configure(settings.log_level, settings.log_format)
    options = CollectOptions(
        server=given.server,
        ca_file=given.ca,
        channels_file=given.channels_file,
        join_window_s=given.join_window_s,
    )

    async def collect() -> None:
        await collecting.run(settings, options, stop_on_signals(), log_lines)

    run(collect())


if __name__ == "__main__":
    main()
