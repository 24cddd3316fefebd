"""Machine code for the hash lanes: compiled once by llvmlite, kept in a private file, mapped into this process.

Stands between `blake3_ir` (text) and `blake3_lanes` (calls). In: IR text and a directory, or none. Out: addresses of
functions. llvmlite (the `fast` extra) is imported only where a compilation is needed: a kept file is mapped by itself.

Code that others could have written must never run. A kept file is used only if it and its directory belong to this
user, nobody else may write there or read it, it is a plain file and its BLAKE3 checksum holds; its name carries the
instruction set and the hash of the IR. Anything else is refused, counted (`NativeCode.refused`) and compiled anew.
Only Linux on x86-64 with AVX2 or AVX-512 is served; elsewhere NativeCodeUnavailable says why, and the loop is used.
"""

from __future__ import annotations

import ctypes
import mmap
import stat
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from schemas.errors import TwzrdError

MAGIC = b"TWZRDNC1"
MAX_CODE_BYTES = 1 << 20
INSTRUCTION_SETS: tuple[tuple[str, int, frozenset[str]], ...] = (
    # LLVM's processor level, vector lanes of 32 bits, flags in /proc/cpuinfo that the level takes. Best first.
    ("x86-64-v4", 16, frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})),
    ("x86-64-v3", 8, frozenset()),
)
V3_FLAGS = frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"})
_READ_WRITE, _READ_EXECUTE = mmap.PROT_READ | mmap.PROT_WRITE, mmap.PROT_READ | mmap.PROT_EXEC


class NativeCodeUnavailable(TwzrdError):
    """This machine cannot run or make the native code; hashing goes on in the loop, with the same results."""


class CodeRefused(TwzrdError):
    """A kept code file is not trustworthy or not whole; it is not run."""


@dataclass(frozen=True)
class InstructionSet:
    """What the code is compiled for: LLVM's processor level and the 32-bit lanes of its widest vector."""

    level: str
    lanes: int


@dataclass
class NativeCode:
    """Functions mapped into this process. `origin`: kept | compiled. `refused`, `unkept`: why, for counters."""

    addresses: dict[str, int]
    origin: str
    refused: str | None
    unkept: str | None
    memory: mmap.mmap
    """Holds the mapping open; the addresses are good as long as this object lives."""


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> InstructionSet:
    """The best set this processor has. Raises NativeCodeUnavailable if there is none or it cannot be found out."""
    try:
        text = cpuinfo.read_text()
    except OSError as error:
        raise NativeCodeUnavailable(f"{cpuinfo} cannot be read ({error}); only Linux on x86-64 has the lanes") from None
    flags = next((set(line.split(":", 1)[1].split()) for line in text.splitlines() if line.startswith("flags")), set())
    for level, lanes, wanted in INSTRUCTION_SETS:
        if wanted | V3_FLAGS <= flags:
            return InstructionSet(level, lanes)
    raise NativeCodeUnavailable("the processor has no AVX2; the loop is used")


def obtain(ir: str, names: tuple[str, ...], target: InstructionSet, directory: Path | None) -> NativeCode:
    """The functions `names` of `ir`: from the file kept in `directory`, else compiled (and kept there, if not None).

    Raises NativeCodeUnavailable if there is no usable file and no compiler, or memory may not be made executable.
    """
    refused = unkept = None
    if directory is not None:
        path = directory / f"blake3-{target.level}-{blake3(ir.encode()).hexdigest(16)}.code"
        try:
            blob = read_private(path)
            if blob is not None:
                return _map(blob, names, "kept", None, None)
        except CodeRefused as error:
            refused = str(error)
    blob = _compile(ir, names, target)
    if directory is not None:
        try:
            write_private(path, blob)
        except OSError as error:
            unkept = f"{path} cannot be written ({error}); every start compiles anew"
        except CodeRefused as error:
            unkept = str(error)
    return _map(blob, names, "compiled", refused, unkept)


def read_private(path: Path) -> bytes | None:
    """Contents of a kept file, checksum verified and stripped; None if there is no such file.

    Raises CodeRefused if anybody else could have written it or it is not what was written.
    """
    try:
        _check_directory(path.parent)
        status = path.stat(follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != _user_id() or stat.S_IMODE(status.st_mode) & 0o077:
            raise CodeRefused(f"{path} is not a plain file of this user with mode 0600; delete it")
        if status.st_size > MAX_CODE_BYTES:
            raise CodeRefused(f"{path} has {status.st_size} bytes, more than {MAX_CODE_BYTES}; delete it")
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CodeRefused(f"{path} cannot be read ({error}); delete it") from None
    blob = content[len(MAGIC) + 32 :]
    if content[: len(MAGIC)] != MAGIC or content[len(MAGIC) : len(MAGIC) + 32] != blake3(blob).digest():
        raise CodeRefused(f"{path} is damaged or was altered (checksum); delete it")
    return blob


def write_private(path: Path, blob: bytes) -> None:
    """Keeps code for the next start: written beside and renamed, directory 0700 if it is new, file 0600.

    Raises OSError, or CodeRefused for a directory that others may write to.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_directory(path.parent)
    # A thread's id is unique on the machine, so two starting processes do not write into one file.
    beside = path.with_name(f".{path.name}.{threading.get_native_id()}")
    beside.unlink(missing_ok=True)
    beside.touch(mode=0o600, exist_ok=False)
    try:
        beside.write_bytes(MAGIC + blake3(blob).digest() + blob)
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _check_directory(directory: Path) -> None:
    status = directory.stat()
    if status.st_uid != _user_id() or stat.S_IMODE(status.st_mode) & 0o022:
        raise CodeRefused(f"{directory} does not belong to this user alone; chown it and chmod 0700")


def _user_id() -> int:
    return int(ctypes.CDLL(None).geteuid())


def _compile(ir: str, names: tuple[str, ...], target: InstructionSet) -> bytes:
    try:
        import llvmlite.binding as llvm
    except ImportError as error:
        raise NativeCodeUnavailable(
            f"llvmlite is missing ({error}); install the extra: pip install twzrd[fast]"
        ) from None
    from streams.core.elf_object import flatten

    try:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        module = llvm.parse_assembly(ir)
        module.verify()
        machine = llvm.Target.from_triple("x86_64-unknown-linux-gnu").create_target_machine(
            cpu=target.level, opt=3, reloc="pic", codemodel="small"
        )
        object_bytes = machine.emit_object(module)
    except RuntimeError as error:
        raise NativeCodeUnavailable(f"llvmlite does not compile the lanes ({error}); take the pinned version") from None
    offsets, code = flatten(object_bytes, names)
    return struct.pack(f"<{len(names)}I", *offsets) + code


def _map(blob: bytes, names: tuple[str, ...], origin: str, refused: str | None, unkept: str | None) -> NativeCode:
    header_bytes = 4 * len(names)
    offsets = struct.unpack_from(f"<{len(names)}I", blob)
    code = blob[header_bytes:]
    try:
        memory = mmap.mmap(-1, len(code), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=_READ_WRITE)
    except OSError as error:
        raise NativeCodeUnavailable(f"no memory for {len(code)} bytes of code ({error}); the loop is used") from None
    memory.write(code)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    # Never writable and executable at once.
    if ctypes.CDLL(None, use_errno=True).mprotect(
        ctypes.c_void_p(start), ctypes.c_size_t(len(code)), ctypes.c_int(_READ_EXECUTE)
    ):
        raise NativeCodeUnavailable(f"memory may not be made executable (errno {ctypes.get_errno()}); the loop is used")
    addresses = {name: start + offset for name, offset in zip(names, offsets, strict=True)}
    return NativeCode(addresses, origin, refused, unkept, memory)
