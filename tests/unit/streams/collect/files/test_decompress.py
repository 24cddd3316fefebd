"""Unpacking: gzip and zstd as written by anybody, in pieces, broken or followed by something else."""

import gzip
import io

import pytest
import zstandard

from streams.collect.files.decompress import Unpacked

PLAIN = b"".join(b"line %d of some text\n" % i for i in range(40_000))


class Dribble(io.RawIOBase):
    """A stream that gives few bytes at a time, as a pipe may."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = io.BytesIO(data), size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(min(self._size, size) if size > 0 else self._size)


def unpacked(data: bytes, size: int = 100_000, dribble: int = 1 << 30) -> tuple[bytes, Unpacked]:
    stream = Unpacked(Dribble(data, dribble))  # type: ignore[arg-type]
    out = []
    while piece := stream.read(size):
        out.append(piece)
    return b"".join(out), stream


@pytest.mark.parametrize("dribble", [3, 1_000, 1 << 30])
@pytest.mark.parametrize(
    ("data", "packing"),
    [(PLAIN, None), (gzip.compress(PLAIN), "gzip"), (zstandard.compress(PLAIN), "zstd"), (b"", None), (b"\x1f", None)],
)
def test_what_was_packed_comes_out(data: bytes, packing: str | None, dribble: int) -> None:
    out, stream = unpacked(data, dribble=dribble)
    assert out == (PLAIN if packing else data)
    assert (stream.packing, stream.fault, stream.bytes_read) == (packing, None, len(data))


def test_members_and_frames_may_follow_each_other_and_gzip_may_be_padded() -> None:
    assert unpacked(gzip.compress(PLAIN) + gzip.compress(b"more") + bytes(50_000))[0] == PLAIN + b"more"
    assert unpacked(zstandard.compress(PLAIN) + zstandard.compress(b"more"))[0] == PLAIN + b"more"
    padded, stream = unpacked(gzip.compress(PLAIN) + bytes(50_000) + gzip.compress(b"more"))
    assert (padded, stream.fault) == (PLAIN + b"more", None)


@pytest.mark.parametrize("dribble", [1, 3, 1 << 30])
def test_frames_to_be_skipped_are_skipped(dribble: int) -> None:
    skipped = b"\x50\x2a\x4d\x18\x04\x00\x00\x00size"
    out, stream = unpacked(skipped + zstandard.compress(PLAIN) + skipped + zstandard.compress(b"more"), dribble=dribble)
    assert (out, stream.packing, stream.fault) == (PLAIN + b"more", "zstd", None)


def test_a_window_too_wide_is_named_as_such() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    packing = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    assert "window" in str(unpacked(packing.compress(PLAIN) + packing.flush())[1].fault)


@pytest.mark.parametrize("dribble", [7, 1 << 30])
def test_of_data_that_ends_early_all_before_is_used(dribble: int) -> None:
    packed = gzip.compress(PLAIN)
    for cut in (5, 12, len(packed) // 2, len(packed) - 9, len(packed) - 1):
        out, stream = unpacked(packed[:cut], dribble=dribble)
        assert PLAIN.startswith(out)
        assert stream.fault == "gzip data ends early"
    assert out == PLAIN
    packed = zstandard.compress(PLAIN * 20)
    out, stream = unpacked(packed[: len(packed) - 1], dribble=dribble)
    assert len(out) > len(PLAIN)
    assert (PLAIN * 20).startswith(out)
    assert stream.fault == "zstd data ends early"


def test_damage_is_named_and_costs_no_more_than_it_says() -> None:
    packed = bytearray(gzip.compress(PLAIN))
    packed[-6] ^= 1  # the checksum
    out, stream = unpacked(bytes(packed))
    assert PLAIN.startswith(out)
    assert len(PLAIN) - len(out) <= 65_536
    assert "gzip data is damaged" in str(stream.fault)
    assert "damaged" in str(unpacked(b"\x28\xb5\x2f\xfd" + b"junk" * 9)[1].fault)
    assert "not gzip follows" in str(unpacked(gzip.compress(PLAIN) + b"junk")[1].fault)
    assert "not zstd follows" in str(unpacked(zstandard.compress(PLAIN) + b"junk")[1].fault)


def test_a_small_file_cannot_fill_the_memory() -> None:
    bomb = zstandard.compress(bytes(1 << 28))
    assert len(bomb) < 10_000 * 4
    stream = Unpacked(io.BytesIO(bomb))
    assert len(stream.read(1_000)) == 1_000
    assert len(stream._rest) <= 1 << 27
    stream = Unpacked(io.BytesIO(gzip.compress(bytes(1 << 26))))
    assert len(stream.read(1_000)) == 1_000
    assert len(stream._rest) <= 65_536
