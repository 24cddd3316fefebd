"""BLAKE3 written as LLVM vector IR: every vector holds one 32-bit word of 8 or 16 inputs at once.

Stands behind `blake3_lanes`, which compiles the text made here and calls it. In: the number of lanes. Out: IR text of
three functions. Pure text, nothing of LLVM is imported. Source of the rules: the BLAKE3 specification, section 2
(one chunk only: counter 0, up to 1024 bytes, the chunk is the root).

    blake3_rows(in, groups, length, blocks, tail_mask, keys, key_stride, mode, out)
        one input a row of `length` bytes; reads whole 64-byte blocks, so up to 63 bytes behind the last row
    blake3_nodes(in, groups, out)
        parents 0x01 || left || right of rows of 64 bytes
    blake3_viewers(identities, lengths, groups, pepper, tag, keys_out, refs_out)
        the whole chain identity -> viewer_key -> epoch_key -> viewer_ref
        identities of at most 30 bytes, zero-filled to 32; `lengths` are u32
A group is as many rows as there are lanes; `groups` is at least 1.
"""

from __future__ import annotations

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MIXES = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)  # fmt: skip
CHUNK_START, CHUNK_END, ROOT, KEYED_HASH = 1, 2, 8, 16
WHOLE = CHUNK_START | CHUNK_END | ROOT
"""Flags of an input that fits one block."""


class _Function:
    """Lines of one IR function, with fresh names for its values."""

    def __init__(self, lanes: int) -> None:
        self.lanes = lanes
        self.vector = f"<{lanes} x i32>"
        self.lines: list[str] = []
        self._count = 0

    def let(self, expression: str) -> str:
        self._count += 1
        self.lines.append(f"  %t{self._count} = {expression}")
        return f"%t{self._count}"

    def op(self, name: str, a: str, b: str) -> str:
        return self.let(f"{name} {self.vector} {a}, {b}")

    def splat(self, scalar: str) -> str:
        """A vector with one run-time i32 in every lane."""
        first = self.let(f"insertelement {self.vector} poison, i32 {scalar}, i32 0")
        return self.let(
            f"shufflevector {self.vector} {first}, {self.vector} poison, <{self.lanes} x i32> zeroinitializer"
        )

    def shift_in(self, high: str, low: str, bits: int) -> str:
        """high << bits | low >> (32 - bits): a word of a text moved by bits / 8 bytes."""
        v = self.vector
        return self.let(f"call {v} @llvm.fshl.v{self.lanes}i32({v} {high}, {v} {low}, {v} {constant(bits)})")

    def rotate_right(self, a: str, bits: int) -> str:
        v = self.vector
        return self.let(f"call {v} @llvm.fshr.v{self.lanes}i32({v} {a}, {v} {a}, {v} {constant(bits)})")

    def at(self, pointer: str, offset: str | int) -> str:
        return self.let(f"getelementptr i8, ptr {pointer}, i64 {offset}")

    def load(self, pointer: str, width: int | None = None) -> str:
        return self.let(f"load <{width or self.lanes} x i32>, ptr {pointer}, align 1")

    def store(self, value: str, pointer: str) -> None:
        self.lines.append(f"  store {self.vector} {value}, ptr {pointer}, align 1")

    def interleave(self, vectors: list[str], times: int) -> list[str]:
        """Perfect shuffles: each rotates the index (vector number, place in it) of every word left by one bit.

        Rotating by the bits of the place swaps the two: the transposition of rows into words, or back.
        """
        n, half = self.lanes, len(vectors) // 2
        masks = []
        for start in (0, n // 2):
            places = [f"i32 {start + i // 2 + (n if i & 1 else 0)}" for i in range(n)]
            masks.append(f"<{n} x i32> <{', '.join(places)}>")
        for _ in range(times):
            vectors = [
                self.let(f"shufflevector {self.vector} {vectors[i]}, {self.vector} {vectors[i + half]}, {mask}")
                for i in range(half)
                for mask in masks
            ]
        return vectors

    def load_digests(self, pointer: str, stride: str) -> list[str]:
        """8 vectors, one a word, of one 32-byte row per lane; rows stand `stride` bytes apart."""
        rows = [self.let(f"mul i64 {stride}, {lane}") for lane in range(self.lanes)]
        halves = [self.load(self.at(pointer, row), 8) for row in rows]
        if self.lanes == 8:
            return self.interleave(halves, 3)
        places = ", ".join(f"i32 {i}" for i in range(16))
        joined = [
            self.let(f"shufflevector <8 x i32> {a}, <8 x i32> {b}, <16 x i32> <{places}>")
            for a, b in zip(halves[::2], halves[1::2], strict=True)
        ]
        return self.interleave(joined, 4)

    def store_digests(self, words: list[str], pointer: str) -> None:
        """Writes 8 word vectors as contiguous 32-byte rows."""
        for i, vector in enumerate(self.interleave(words, 3)):
            self.store(vector, self.at(pointer, i * self.lanes * 4))

    def load_block(self, pointer: str, stride: str, mask_pointer: str | None = None) -> list[str]:
        """16 vectors, one a word, of one 64-byte block per lane; bits off in the mask are read as zero."""
        words: list[str] = []
        rows = [self.at(pointer, self.let(f"mul i64 {stride}, {lane}")) for lane in range(self.lanes)]
        for part in range(0, 64, self.lanes * 4):
            vectors = [self.load(self.at(row, part)) for row in rows]
            if mask_pointer is not None:
                mask = self.load(self.at(mask_pointer, part))
                vectors = [self.op("and", vector, mask) for vector in vectors]
            words += self.interleave(vectors, self.lanes.bit_length() - 1)
        return words

    def compress(self, cv: list[str], block: list[str], block_bytes: str, flags: str) -> list[str]:
        """One compression, seven rounds; returns the new chaining value (specification, section 2.2)."""
        v = [*cv, *(constant(word) for word in IV[:4]), constant(0), constant(0), block_bytes, flags]
        for _ in range(7):
            for i, (a, b, c, d) in enumerate(MIXES):
                for word, first_turn, second_turn in ((block[2 * i], 16, 12), (block[2 * i + 1], 8, 7)):
                    v[a] = self.op("add", self.op("add", v[a], v[b]), word)
                    v[d] = self.rotate_right(self.op("xor", v[d], v[a]), first_turn)
                    v[c] = self.op("add", v[c], v[d])
                    v[b] = self.rotate_right(self.op("xor", v[b], v[c]), second_turn)
            block = [block[p] for p in PERMUTATION]
        return [self.op("xor", v[i], v[i + 8]) for i in range(8)]


def constant(word: int) -> str:
    """The same word in every lane."""
    return f"splat (i32 {word})"


def module_text(lanes: int) -> str:
    """IR of the three functions for 8 or 16 lanes."""
    vector = f"<{lanes} x i32>"
    declared = [f"declare {vector} @llvm.{name}.v{lanes}i32({vector}, {vector}, {vector})" for name in ("fshl", "fshr")]
    return "\n".join([*declared, _rows(lanes), _nodes(lanes), _viewers(lanes), ""])


def _rows(lanes: int) -> str:
    f = _Function(lanes)
    cv_slots = [f"%cv{i}" for i in range(8)]
    f.lines += [
        "define void @blake3_rows(ptr %in, i64 %groups, i64 %length, i64 %blocks, ptr %tail_mask, ptr %keys,"
        " i64 %key_stride, i32 %mode, ptr %out) {",
        "entry:",
        *(f"  {slot} = alloca {f.vector}, align 64" for slot in cv_slots),
        "  %everything = alloca <16 x i32>, align 64",
        "  store <16 x i32> splat (i32 -1), ptr %everything",
        "  %last = sub i64 %blocks, 1",
        "  %before = mul i64 %last, 64",
        "  %tail64 = sub i64 %length, %before",
        "  %tail = trunc i64 %tail64 to i32",
        f"  %group_bytes = mul i64 %length, {lanes}",
        f"  %group_key_bytes = mul i64 %key_stride, {lanes}",
        "  br label %group",
        "group:",
        "  %g = phi i64 [0, %entry], [%g_next, %group_end]",
        "  %row_at = mul i64 %g, %group_bytes",
        "  %rows = getelementptr i8, ptr %in, i64 %row_at",
        "  %key_at = mul i64 %g, %group_key_bytes",
        "  %key_rows = getelementptr i8, ptr %keys, i64 %key_at",
    ]
    for slot, word in zip(cv_slots, f.load_digests("%key_rows", "%key_stride"), strict=True):
        f.store(word, slot)
    f.lines += [
        "  br label %block",
        "block:",
        "  %b = phi i64 [0, %group], [%b_next, %block]",
        "  %is_first = icmp eq i64 %b, 0",
        "  %is_last = icmp eq i64 %b, %last",
        f"  %start_flag = select i1 %is_first, i32 {CHUNK_START}, i32 0",
        f"  %end_flags = select i1 %is_last, i32 {CHUNK_END | ROOT}, i32 0",
        "  %edge_flags = or i32 %start_flag, %end_flags",
        "  %flags = or i32 %edge_flags, %mode",
        "  %block_bytes = select i1 %is_last, i32 %tail, i32 64",
        "  %mask = select i1 %is_last, ptr %tail_mask, ptr %everything",
        "  %block_at = mul i64 %b, 64",
        "  %block_rows = getelementptr i8, ptr %rows, i64 %block_at",
    ]
    words = f.load_block("%block_rows", "%length", "%mask")
    cv = f.compress([f.load(slot) for slot in cv_slots], words, f.splat("%block_bytes"), f.splat("%flags"))
    for slot, word in zip(cv_slots, cv, strict=True):
        f.store(word, slot)
    f.lines += [
        "  %b_next = add i64 %b, 1",
        "  br i1 %is_last, label %group_end, label %block",
        "group_end:",
        f"  %out_at = mul i64 %g, {lanes * 32}",
        "  %out_rows = getelementptr i8, ptr %out, i64 %out_at",
    ]
    f.store_digests([f.load(slot) for slot in cv_slots], "%out_rows")
    return _close(f)


def _nodes(lanes: int) -> str:
    f = _Function(lanes)
    f.lines += [
        "define void @blake3_nodes(ptr %in, i64 %groups, ptr %out) {",
        "entry:",
        "  br label %group",
        "group:",
        "  %g = phi i64 [0, %entry], [%g_next, %group_end]",
        f"  %row_at = mul i64 %g, {lanes * 64}",
        "  %rows = getelementptr i8, ptr %in, i64 %row_at",
        f"  %out_at = mul i64 %g, {lanes * 32}",
        "  %out_rows = getelementptr i8, ptr %out, i64 %out_at",
    ]
    children = f.load_block("%rows", "64")
    # The prefix byte moves every child word one byte up; byte 64 of the 65 is alone in the second block.
    first = [f.shift_in(word, low, 8) for word, low in zip(children, [constant(1 << 24), *children], strict=False)]
    second = [f.op("lshr", children[15], constant(24)), *([constant(0)] * 15)]
    cv = f.compress([constant(word) for word in IV], first, constant(64), constant(CHUNK_START))
    f.store_digests(f.compress(cv, second, constant(1), constant(CHUNK_END | ROOT)), "%out_rows")
    f.lines += ["  br label %group_end", "group_end:"]
    return _close(f)


def _viewers(lanes: int) -> str:
    f = _Function(lanes)
    f.lines += [
        "define void @blake3_viewers(ptr %identities, ptr %lengths, i64 %groups, ptr %pepper, ptr %tag, ptr %keys_out,"
        " ptr %refs_out) {",
        "entry:",
        "  br label %group",
        "group:",
        "  %g = phi i64 [0, %entry], [%g_next, %group_end]",
        f"  %row_at = mul i64 %g, {lanes * 32}",
        "  %rows = getelementptr i8, ptr %identities, i64 %row_at",
        "  %keys_rows = getelementptr i8, ptr %keys_out, i64 %row_at",
        "  %refs_rows = getelementptr i8, ptr %refs_out, i64 %row_at",
        f"  %lengths_at = mul i64 %g, {lanes * 4}",
        "  %group_lengths = getelementptr i8, ptr %lengths, i64 %lengths_at",
    ]
    zero = constant(0)
    identity = f.load_digests("%rows", "32")
    identity_bytes = f.load("%group_lengths")
    pepper = f.load_digests("%pepper", "0")
    tag = [f.splat(f.let(f"load i32, ptr {f.at('%tag', 4 * i)}, align 1")) for i in range(4)]
    keyed = constant(WHOLE | KEYED_HASH)
    viewer_key = f.compress(pepper, [*identity, *([zero] * 8)], identity_bytes, keyed)
    epoch_key = f.compress(viewer_key, [*tag, *([zero] * 12)], constant(16), keyed)
    # 0x02 0x01 before the key moves key and identity two bytes up.
    text = [*epoch_key, *identity]
    preimage = [f.shift_in(word, low, 16) for word, low in zip(text, [constant(0x0102 << 16), *text], strict=False)]
    preimage_bytes = f.op("add", identity_bytes, constant(34))
    refs = f.compress([constant(word) for word in IV], preimage, preimage_bytes, constant(WHOLE))
    f.store_digests(epoch_key, "%keys_rows")
    f.store_digests(refs, "%refs_rows")
    f.lines += ["  br label %group_end", "group_end:"]
    return _close(f)


def _close(f: _Function) -> str:
    """The end of the loop over groups, the same in every function."""
    f.lines += [
        "  %g_next = add i64 %g, 1",
        "  %more = icmp ult i64 %g_next, %groups",
        "  br i1 %more, label %group, label %done",
        "done:",
        "  ret void",
        "}",
    ]
    return "\n".join(f.lines)
