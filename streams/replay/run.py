"""`twzrd replay`: files in, DIR out. Composes folding and output."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.replay.folder import OutputWriter
from streams.replay.folding import Folding, FoldOptions, Progress
from streams.replay.sealing import seal_all
from streams.replay.tally import Tally


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay came to. digest: blake3 of all seal hashes, sorted, concatenated, hex."""

    tally: Tally
    digest: str


def replay(sources: Sequence[str], out: Path, options: FoldOptions, progress: Progress | None = None) -> Replayed:
    """Fold and seal the inputs into the folder. Raises SourceError, OutputError, SpillError or ProcessLost; then what
    an earlier replay left there is still as it was."""
    with OutputWriter(out) as writer:
        folding = Folding(options, writer.dead, progress)
        folding.take(sources)
        seal_all(folding, writer, options.jobs)
        folding.store.close()
        return Replayed(folding.tally, writer.finish())
