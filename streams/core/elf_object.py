"""A relocatable object of LLVM (ELF64, x86-64) as one block of code that runs wherever it is put.

Stands inside the compilation of the hash lanes (`native_code`). In: the bytes of an object whose code calls nothing
outside itself. Out: the offsets of its functions and the block: text and constants, distances between them filled in.
Source: System V ABI, ELF-64 object file format; AMD64 supplement, R_X86_64_PC32.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from schemas.errors import TwzrdError

_SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS = 2, 4, 8
_SHF_ALLOC = 2
_R_X86_64_PC32 = 2


class UnexpectedObject(TwzrdError):
    """The compiler made an object that this small reader does not understand; the loop is used instead."""


@dataclass(frozen=True)
class _Section:
    name: str
    kind: int
    flags: int
    content: bytes
    link: int
    info: int
    align: int


def flatten(object_bytes: bytes, function_names: tuple[str, ...]) -> tuple[list[int], bytes]:
    """Offsets of the functions, in the order of their names, and the block of code and constants.

    Raises UnexpectedObject on another machine, a relocation that is not PC-relative, or a name that is not defined.
    """
    sections = _sections(object_bytes)
    block = bytearray()
    placed: dict[int, int] = {}
    for number, section in enumerate(sections):
        # Unwind tables are left out: nothing throws through this code.
        if section.flags & _SHF_ALLOC and section.content and section.name != ".eh_frame":
            block += bytes(-len(block) % max(section.align, 1))
            placed[number] = len(block)
            block += section.content
    symbols = _symbols(sections)
    for section in sections:
        if section.kind == _SHT_RELA and section.info in placed:
            _relocate(block, section.content, placed[section.info], symbols, placed)
    offsets = {name: placed[number] + value for name, number, value in symbols if name and number in placed}
    missing = [name for name in function_names if name not in offsets]
    if missing:
        raise UnexpectedObject(f"the object does not define {', '.join(missing)}; compile the module that does")
    return [offsets[name] for name in function_names], bytes(block)


def _sections(data: bytes) -> list[_Section]:
    if data[:6] != b"\x7fELF\x02\x01" or struct.unpack_from("<H", data, 18)[0] != 62:
        raise UnexpectedObject(f"object begins with {data[:6].hex()}; only ELF64 for x86-64 is read")
    (table_at,) = struct.unpack_from("<Q", data, 40)
    entry_bytes, count, names_section = struct.unpack_from("<HHH", data, 58)
    headers = [struct.unpack_from("<IIQQQQIIQQ", data, table_at + i * entry_bytes) for i in range(count)]
    contents = [b"" if kind == _SHT_NOBITS else data[at : at + size] for _, kind, _, _, at, size, *_ in headers]
    return [
        _Section(_string(contents[names_section], name), kind, flags, content, link, info, align)
        for (name, kind, flags, _, _, _, link, info, align, _), content in zip(headers, contents, strict=True)
    ]


def _symbols(sections: list[_Section]) -> list[tuple[str, int, int]]:
    """(name, section number, value in it) of every symbol."""
    table = next((section for section in sections if section.kind == _SHT_SYMTAB), None)
    if table is None:
        raise UnexpectedObject("the object has no symbol table; it was stripped")
    names = sections[table.link].content
    return [
        (_string(names, name), section_number, value)
        for name, _, _, section_number, value, _ in struct.iter_unpack("<IBBHQQ", table.content)
    ]


def _relocate(
    block: bytearray, entries: bytes, base: int, symbols: list[tuple[str, int, int]], placed: dict[int, int]
) -> None:
    for offset, info, addend in struct.iter_unpack("<QQq", entries):
        name, section_number, value = symbols[info >> 32]
        kind = info & 0xFFFFFFFF
        if kind != _R_X86_64_PC32 or section_number not in placed:
            raise UnexpectedObject(f"relocation of type {kind} to {name or section_number} is not a distance inside it")
        place = base + offset
        struct.pack_into("<i", block, place, placed[section_number] + value + addend - place)


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()
