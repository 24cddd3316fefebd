"""Hashing of rows, and the rules under which kept machine code may run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from streams.core import blake3_ir, hashing, native_code
from streams.core.blake3_lanes import load_lanes
from streams.core.elf_object import UnexpectedObject, flatten
from streams.core.native_code import CodeRefused, InstructionSet, NativeCodeUnavailable, instruction_set

ROOT = Path(__file__).resolve().parents[4]


def has_lanes() -> bool:
    try:
        instruction_set()
    except NativeCodeUnavailable:
        return False
    return True


needs_lanes = pytest.mark.skipif(not has_lanes(), reason="processor without AVX2: this machine has the loop only")


@pytest.fixture(autouse=True)
def fresh_switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with the loop and with counters at zero."""
    hashing.disable_fast()
    monkeypatch.setattr(hashing, "fast_status", hashing.FastStatus())
    yield
    hashing.disable_fast()


@pytest.fixture
def without_llvmlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llvmlite", None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)


def kept_file(directory: Path) -> Path:
    files = sorted(directory.iterdir())
    assert len(files) == 1
    return files[0]


def in_new_process(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True).stdout


# -- rows ------------------------------------------------------------------------------------------------------------


def test_the_published_vectors_of_blake3_hold_in_loop_and_lanes() -> None:
    # BLAKE3 test_vectors.json: inputs 0, 1, 2 … 250, 0 …; key "whats the Elvish word for friend".
    published = {
        0: ("af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26"),
        1: ("2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
            "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b"),
        1024: ("42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
               "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4"),
    }  # fmt: skip
    key = np.frombuffer(b"whats the Elvish word for friend", np.uint8)
    for fast in (False, True) if has_lanes() else (False,):
        assert (hashing.enable_fast(None) if fast else hashing.FAST) is fast
        for length, (plain, keyed) in published.items():
            rows = np.broadcast_to((np.arange(length) % 251).astype(np.uint8), (20, length))
            assert {row.tobytes().hex() for row in hashing.hash_rows(rows)} == {plain}
            assert {row.tobytes().hex() for row in hashing.keyed_hash_rows(rows, key)} == {keyed}


def test_an_input_may_be_a_strided_view() -> None:
    wide = np.random.default_rng(1).integers(0, 256, (40, 200), dtype=np.uint8)
    rows, keys = wide[::2, 3:99], wide[::2, 100:132]
    wanted = [blake3(row.tobytes()).digest() for row in rows]
    keyed = [blake3(row.tobytes(), key=key.tobytes()).digest() for row, key in zip(rows, keys, strict=True)]
    for fast in (False, has_lanes()):
        assert not fast or hashing.enable_fast(None)
        assert hashing.hash_rows(rows).tobytes() == b"".join(wanted)
        assert hashing.keyed_hash_rows(rows, keys).tobytes() == b"".join(keyed)


@pytest.mark.parametrize("rows", [np.zeros(32, np.uint8), np.zeros((2, 8), np.int64), np.zeros((1, 2, 3), np.uint8)])
def test_another_shape_or_type_of_rows_is_refused(rows: np.ndarray) -> None:
    with pytest.raises(hashing.HashInputError, match=r"give a uint8 array of \(n, length\)"):
        hashing.hash_rows(rows)


def test_keys_peppers_tags_and_pairs_of_another_length_are_refused() -> None:
    rows = np.zeros((3, 8), np.uint8)
    with pytest.raises(hashing.HashInputError, match=r"give uint8 \(32,\) or \(3, 32\)"):
        hashing.keyed_hash_rows(rows, np.zeros((2, 32), np.uint8))
    with pytest.raises(hashing.HashInputError, match="31 bytes"):
        hashing.hash_strings([b"a"], b"k" * 31)
    with pytest.raises(hashing.HashInputError, match="33 bytes"):
        hashing.viewer_refs([b"a"], b"k" * 33, b"t" * 16)
    with pytest.raises(hashing.HashInputError, match="epoch_tag has 32 bytes"):
        hashing.viewer_refs([b"a"], b"k" * 32, b"t" * 32)
    with pytest.raises(hashing.HashInputError, match="64 bytes"):
        hashing.hash_nodes(rows)


def test_nobody_gives_empty_columns() -> None:
    for fast in (False, has_lanes()):
        assert not fast or hashing.enable_fast(None)
        refs, keys = hashing.viewer_refs([], b"k" * 32, b"t" * 16)
        assert refs.shape == keys.shape == hashing.hash_strings([], b"k" * 32).shape == (0, 32)


READ_TO_THE_EDGE = """
import ctypes, mmap
import numpy as np
from pathlib import Path
from blake3 import blake3
from streams.core import hashing
assert hashing.enable_fast(None)
pages = mmap.mmap(-1, 3 * mmap.PAGESIZE * 16)
memory = np.frombuffer(pages, np.uint8)
end = len(memory) - mmap.PAGESIZE
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(memory.ctypes.data + end), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
memory[:end] = np.random.default_rng(3).integers(0, 256, end, dtype=np.uint8)
for n in range(8, 50):
    for length in (1, 16, 31, 63, 64, 65, 96, 127, 128, 1000):
        rows = memory[end - n * length : end].reshape(n, length)
        assert hashing.hash_rows(rows).tobytes() == b"".join(blake3(row.tobytes()).digest() for row in rows)
    pairs = memory[end - n * 64 : end].reshape(n, 64)
    assert hashing.hash_nodes(pairs)[-1].tobytes() == blake3(b"\\1" + pairs[-1].tobytes()).digest()
    leaves = memory[end - n * 32 : end].reshape(n, 32)
    keyed = hashing.keyed_hash_rows(leaves, leaves)
    assert keyed[-1].tobytes() == blake3(leaves[-1].tobytes(), key=leaves[-1].tobytes()).digest()
    hashing.tree_levels(leaves)
print("within")
"""


@needs_lanes
def test_lanes_read_nothing_behind_the_rows() -> None:
    # The rows end where a page begins that may not be read: one byte too far ends the process.
    assert in_new_process(READ_TO_THE_EDGE).strip() == "within"


# -- the switch ------------------------------------------------------------------------------------------------------


def test_importing_the_module_loads_no_compiler_and_no_code() -> None:
    code = "import sys, streams.core.merkle; print([m for m in sys.modules if 'llvm' in m or 'lanes' in m])"
    assert in_new_process(code).strip() == "[]"


@needs_lanes
def test_a_second_start_takes_the_kept_code_without_llvmlite(tmp_path: Path, without_llvmlite: None) -> None:
    directory = tmp_path / "cache"
    start = (
        "import sys; from pathlib import Path; from streams.core import hashing;"
        f"print(hashing.enable_fast(Path({str(directory)!r})), hashing.fast_status.origin, 'llvmlite' in sys.modules)"
    )
    assert in_new_process(start).split() == ["True", "compiled", "True"]
    assert directory.stat().st_mode & 0o777 == 0o700
    assert kept_file(directory).stat().st_mode & 0o777 == 0o600
    assert in_new_process(start).split() == ["True", "kept", "False"]
    assert hashing.enable_fast(directory)
    assert hashing.fast_status == hashing.FastStatus(origin="kept", lanes=instruction_set().lanes)


def test_without_llvmlite_and_kept_code_the_loop_goes_on_and_is_counted(tmp_path: Path, without_llvmlite: None) -> None:
    assert hashing.enable_fast(tmp_path) is hashing.FAST is False
    assert (hashing.fast_status.unavailable, hashing.fast_status.origin) == (1, "off")
    assert hashing.fast_status.reason
    rows = np.zeros((20, 96), np.uint8)
    assert hashing.hash_rows(rows)[0].tobytes() == blake3(bytes(96)).digest()
    assert list(tmp_path.iterdir()) == []


def test_a_processor_without_avx2_has_no_lanes(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nflags\t\t: fpu sse sse2 avx\n")
    with pytest.raises(NativeCodeUnavailable, match="no AVX2"):
        instruction_set(cpuinfo)
    with pytest.raises(NativeCodeUnavailable, match="cannot be read"):
        instruction_set(tmp_path / "missing")
    avx2 = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave"
    cpuinfo.write_text(f"flags\t\t: {avx2}\n")
    assert instruction_set(cpuinfo) == InstructionSet("x86-64-v3", 8)
    cpuinfo.write_text(f"flags\t\t: {avx2} avx512f avx512bw avx512cd avx512dq avx512vl\n")
    assert instruction_set(cpuinfo) == InstructionSet("x86-64-v4", 16)


@needs_lanes
def test_a_directory_that_cannot_be_written_costs_only_the_keeping(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    assert hashing.enable_fast(in_the_way / "cache")
    assert (hashing.fast_status.origin, hashing.fast_status.unkept_files) == ("compiled", 1)


# -- kept code that must not run -------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A directory of its own with a code file as `enable_fast` leaves it."""
    directory = tmp_path / "cache"
    native_code.write_private(directory / "blake3.code", b"machine code")
    return kept_file(directory)


def test_a_kept_file_reads_back(kept: Path) -> None:
    assert native_code.read_private(kept) == b"machine code"
    assert native_code.read_private(kept.with_name("other.code")) is None


def test_every_altered_byte_of_a_kept_file_is_noticed(kept: Path) -> None:
    whole = kept.read_bytes()
    for at in range(len(whole)):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(CodeRefused, match="checksum"):
            native_code.read_private(kept)
    for damaged in (b"", whole[:20], whole[:-1], whole + b"\0"):
        kept.write_bytes(damaged)
        with pytest.raises(CodeRefused, match="checksum"):
            native_code.read_private(kept)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_others_reach_is_refused(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    with pytest.raises(CodeRefused, match="mode 0600"):
        native_code.read_private(kept)


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_directory_that_others_write_to_is_refused_for_reading_and_keeping(kept: Path, mode: int) -> None:
    kept.parent.chmod(mode)
    with pytest.raises(CodeRefused, match="chmod 0700"):
        native_code.read_private(kept)
    with pytest.raises(CodeRefused, match="chmod 0700"):
        native_code.write_private(kept.with_name("new.code"), b"code")


def test_a_link_in_place_of_the_file_is_refused(kept: Path) -> None:
    elsewhere = kept.parent.parent / "planted"
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    with pytest.raises(CodeRefused, match="not a plain file"):
        native_code.read_private(kept)


def test_a_file_of_another_user_is_refused(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = kept.stat().st_uid
    monkeypatch.setattr(native_code, "_user_id", lambda: owner + 1)
    with pytest.raises(CodeRefused, match="does not belong to this user"):
        native_code.read_private(kept)
    monkeypatch.setattr(native_code, "_check_directory", lambda directory: None)
    with pytest.raises(CodeRefused, match="not a plain file of this user"):
        native_code.read_private(kept)


def test_an_oversized_file_is_refused_unread(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_code, "MAX_CODE_BYTES", 8)
    with pytest.raises(CodeRefused, match="more than 8"):
        native_code.read_private(kept)


@needs_lanes
def test_a_tampered_object_is_refused_counted_and_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "cache"
    assert hashing.enable_fast(directory)
    path = kept_file(directory)
    good = path.read_bytes()
    path.write_bytes(good[:-100] + b"\xcc" + good[-99:])
    assert hashing.enable_fast(directory)
    assert (hashing.fast_status.origin, hashing.fast_status.refused_files) == ("compiled", 1)
    assert hashing.fast_status.reason is not None and "checksum" in hashing.fast_status.reason
    assert path.read_bytes() == good


@needs_lanes
def test_a_tampered_object_without_a_compiler_leaves_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "cache"
    assert hashing.enable_fast(directory)
    hashing.disable_fast()
    kept_file(directory).write_bytes(b"junk")
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    assert not hashing.enable_fast(directory)
    assert hashing.fast_status.unavailable == 1


@needs_lanes
def test_code_that_hashes_wrongly_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    text = blake3_ir.module_text(instruction_set().lanes)
    monkeypatch.setattr(blake3_ir, "module_text", lambda lanes: text.replace(str(blake3_ir.IV[3]), "7"))
    with pytest.raises(NativeCodeUnavailable, match="do not agree"):
        load_lanes(None)


# -- the compiler's object -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("head", [b"\x7fELF\x01\x01" + bytes(12) + b"\x3e", b"\x7fELF\x02\x01" + bytes(12) + b"\xb7"])
def test_an_object_for_32_bits_or_another_processor_is_refused(head: bytes) -> None:
    with pytest.raises(UnexpectedObject, match="only ELF64 for x86-64"):
        flatten(head + bytes(64), ("f",))


@needs_lanes
@pytest.mark.parametrize(
    ("ir", "reason"),
    [
        ("define void @g() {\n ret void\n}", "does not define f"),
        ("declare void @outside()\ndefine void @f() {\n call void @outside()\n ret void\n}", "relocation of type 4"),
    ],
)
def test_code_that_reaches_outside_itself_is_refused(ir: str, reason: str) -> None:
    with pytest.raises(UnexpectedObject, match=reason):
        native_code.obtain(ir, ("f",), instruction_set(), None)
