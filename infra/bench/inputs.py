"""The inputs: generated from fixed seeds into the cache, once, never committed."""

import gzip
import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from infra.bench.bench import Bench
from infra.bench.racing import ContenderFailed, module, run

SIMPLE_SHA256: Final = "2dd3f1c9"
SEED: Final = 20261122
IRC_CHANNELS: Final = 50
IRC_VIEWERS: Final = 100_000
START_MS: Final = 1_760_000_400_000
LINE_MS: Final = 86.4
"""A million lines a day."""


def simple_events(bench: Bench) -> Path:
    """1M events of 50 channels over 24 h as NDJSON, by the shared generator."""

    def make(path: Path) -> None:
        generator = bench.shared / "bench" / "generate.py"
        subprocess.run([sys.executable, "-B", str(generator), str(path)], check=True)
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if not found.startswith(SIMPLE_SHA256):
            raise ContenderFailed(f"{path} has sha256 {found}; the generator's begins {SIMPLE_SHA256}")

    return _made(bench, bench.cache / "events.ndjson", make)


def irc_lines(bench: Bench, lines: int) -> Path:
    """Tagged IRC lines distributed as the simple fold's events are: 50 channels and 100,000 viewers by Zipf, half as
    many participations as lines, which is far more than in real captures; a day for each million. PRIVMSG with all of
    Twitch's tags, 1 % cheers, 1 % subs, gifts, raids and others (0.85 % in a real capture), neighbours out of order by
    up to 400 ms, about 390 bytes a line (370 there)."""
    return _made(bench, bench.cache / f"chat-{lines}.irc", lambda path: _write_irc(path, lines))


def captures(bench: Bench) -> Path:
    """The real captures beside the project as one stream of lines: tagged ones of five channels, and among them, one in
    eight, untagged ones of two more with their JOINs and PARTs."""

    def make(path: Path) -> None:
        def lines(name: str) -> list[bytes]:
            data = (bench.shared / "data" / name).read_bytes()
            found = (gzip.decompress(data) if name.endswith(".gz") else data).replace(b"\r", b"").split(b"\n")
            return [
                line.partition(b" \xe2\x80\x94 ")[2] or line if not line.startswith(b"@") else line for line in found
            ]

        tagged = lines("four_channels_2026-03_2026-04.irc.gz") + lines("forsen_2023-06-02.irc")
        untagged = lines("sodapoppin_2019-05_untagged.log.gz") + lines("amaz_2019-05_untagged.log.gz")
        mixed = [line for line in tagged if line]
        plain = [line for line in untagged if line]
        # A line of one among every few of the other, as they would come over one connection.
        places = np.concatenate((np.arange(len(mixed)) / len(mixed), np.arange(len(plain)) / len(plain)))
        both = mixed + plain
        path.write_bytes(b"".join(both[index] + b"\r\n" for index in np.argsort(places, kind="stable").tolist()))

    return _made(bench, bench.cache / "captures.irc", make)


def tagged_captures(bench: Bench) -> Path:
    """The tagged ones of them alone."""

    def make(path: Path) -> None:
        with captures(bench).open("rb") as mixed, path.open("wb") as out:
            out.writelines(line for line in mixed if line.startswith(b"@"))

    return _made(bench, bench.cache / "captures-tagged.irc", make)


def archive(bench: Bench) -> Path:
    """The simple fold's events as the project's own archive."""

    def make(path: Path) -> None:
        run(module("infra.bench.work.make_archive", simple_events(bench), path))

    return _made(bench, bench.cache / "archive-1m", make)


def live_log(bench: Bench, events: int, *, channels: int = 33, hours: int = 24, viewers: int = 100_000) -> Path:
    """Records of chat.events as live collectors send them; see work/make_log.py. 3M events are 792 epochs, the load
    that design.md's prototypes were measured with; there are far more participants an event than in real captures."""

    def make(path: Path) -> None:
        run(module("infra.bench.work.make_log", *map(str, (events, channels, hours, viewers)), path))

    return _made(bench, bench.cache / f"log-{events}-{channels}-{hours}-{viewers}.msgpack", make)


def _made(bench: Bench, path: Path, make: Callable[[Path], None]) -> Path:
    if not path.exists():
        bench.say(f"making {path}")
        part = path.with_name(path.name + ".part")
        make(part)
        part.replace(path)
    return path


_NOTICES: Final = (
    (b"sub", b";msg-param-cumulative-months=1;msg-param-sub-plan=1000"),
    (b"resub", b";msg-param-cumulative-months=9;msg-param-sub-plan=1000"),
    (b"subgift", b";msg-param-recipient-id=77;msg-param-sub-plan=1000"),
    (b"raid", b";msg-param-viewerCount=120"),
    (b"announcement", b";msg-param-color=PRIMARY"),
)


def _write_irc(path: Path, lines: int) -> None:
    rng = np.random.default_rng(SEED)
    channel_cdf = np.cumsum(1 / np.arange(1, IRC_CHANNELS + 1))
    viewer_cdf = np.cumsum(1 / np.arange(1, IRC_VIEWERS + 1) ** 1.05)
    viewer_of_rank = rng.permutation(IRC_VIEWERS)
    with path.open("wb") as out:
        for first in range(0, lines, 100_000):
            n = min(100_000, lines - first)
            start_ms, end_ms = (START_MS + int(LINE_MS * at) for at in (first, first + n))
            at = np.sort(rng.integers(start_ms, end_ms, n)) + rng.integers(0, 400, n)
            channels = np.searchsorted(channel_cdf, rng.random(n) * channel_cdf[-1]).tolist()
            viewers = viewer_of_rank[np.searchsorted(viewer_cdf, rng.random(n) * viewer_cdf[-1])].tolist()
            ids, chance, words = rng.bytes(16 * n).hex(), rng.random(n).tolist(), rng.integers(1, 11, n).tolist()
            rows = zip(at.tolist(), channels, viewers, chance, words, strict=True)
            for i, row in enumerate(rows):
                out.write(_irc_line(*row, ids[32 * i : 32 * i + 32]))


def _irc_line(at_ms: int, channel: int, viewer: int, chance: float, words: int, hexes: str) -> bytes:
    name = b"viewer_%05d" % viewer
    message_id = f"{hexes[:8]}-{hexes[8:12]}-{hexes[12:16]}-{hexes[16:20]}-{hexes[20:]}".encode()
    head = b"@badge-info=subscriber/%d;badges=subscriber/%d,premium/1" % (viewer % 60, viewer % 60 // 3 * 3)
    tail = b";id=%b;mod=0;room-id=%d;subscriber=1;tmi-sent-ts=%d;turbo=0;user-id=%d;user-type= " % (
        message_id,
        40_000_000 + channel,
        at_ms,
        100_000_000 + viewer * 7,
    )
    if chance < 0.01:
        kind, extra = _NOTICES[viewer % len(_NOTICES)]
        return (
            b"%b;color=#8A2BE2;display-name=%b;emotes=;flags=;login=%b;msg-id=%b%b%b"
            b":tmi.twitch.tv USERNOTICE #channel_%02d\r\n"
            % (
                head,
                name,
                name,
                kind,
                extra,
                tail,
                channel,
            )
        )
    bits = b";bits=%d" % (1 + viewer % 500) if chance < 0.02 else b""
    return (
        b"%b%b;color=#8A2BE2;display-name=%b;emotes=;first-msg=0;flags=;returning-chatter=0%b"
        b":%b!%b@%b.tmi.twitch.tv PRIVMSG #channel_%02d :%b\r\n"
        % (head, bits, name, tail, name, name, name, channel, (b"xxxxxx " * words)[:-1])
    )
