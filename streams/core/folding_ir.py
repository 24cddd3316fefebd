"""Loops of the fold and the seal written as LLVM IR: scalar code, the same for every width of lanes.

Stands behind `kernels`, which calls it. Pure text; arrays are packed and little-endian.

    sum_events(n, viewers, viewer, kind, at, amount, who, counts, bits, raid_viewers, first_ms, last_ms, pair)
        For each of n events, sorted by id: viewer (i64), kind (u8, 0..5), at (i64), amount (u32), who (u32).
        counts (u32, 6 x viewers, a row a kind), bits and raid_viewers (u64) are added to; first_ms, last_ms (i64) are
        widened; pair (i64) becomes the `who` of the latest event, of several at that ms the last in order.
    gather_strings(text, begin, end, rows, n, out)
        Copies text[begin[row]:end[row]] of n rows (i64 all) one after the other. Reads and writes whole words, so up
        to 7 bytes behind the last of each; of an empty one nothing.
    order_words(words, n, counts, order, words2, order2)
        Sorts n words (u64) ascending in place; order (i64) becomes where each stood, of equal ones the earlier first.
        A radix sort, one byte a pass; counts (u32, 8 x 256, zero) and words2, order2 (as words, order) are its room.
"""

from typing import Final

FUNCTIONS: Final = ("sum_events", "gather_strings", "order_words")

_LOOPS: Final = """
define void @sum_events(i64 %n, i64 %viewers, ptr noalias %viewer, ptr noalias %kind, ptr noalias %at,
                        ptr noalias %amount, ptr noalias %who, ptr noalias %counts, ptr noalias %bits,
                        ptr noalias %raids, ptr noalias %first, ptr noalias %last, ptr noalias %pair) "no-builtins" {
entry:
  %any = icmp ne i64 %n, 0
  br i1 %any, label %event, label %done
event:
  %i = phi i64 [0, %entry], [%i_next, %next]
  %viewer_at = getelementptr i64, ptr %viewer, i64 %i
  %v = load i64, ptr %viewer_at, align 8
  %kind_at = getelementptr i8, ptr %kind, i64 %i
  %k8 = load i8, ptr %kind_at, align 1
  %k = zext i8 %k8 to i64
  %row = mul i64 %k, %viewers
  %cell = add i64 %row, %v
  %count_at = getelementptr i32, ptr %counts, i64 %cell
  %count = load i32, ptr %count_at, align 4
  %count_new = add i32 %count, 1
  store i32 %count_new, ptr %count_at, align 4
  %at_at = getelementptr i64, ptr %at, i64 %i
  %a = load i64, ptr %at_at, align 8
  %first_at = getelementptr i64, ptr %first, i64 %v
  %f = load i64, ptr %first_at, align 8
  %earlier = icmp slt i64 %a, %f
  %f_new = select i1 %earlier, i64 %a, i64 %f
  store i64 %f_new, ptr %first_at, align 8
  %last_at = getelementptr i64, ptr %last, i64 %v
  %l = load i64, ptr %last_at, align 8
  %later = icmp sge i64 %a, %l
  br i1 %later, label %latest, label %amounts
latest:
  store i64 %a, ptr %last_at, align 8
  %who_at = getelementptr i32, ptr %who, i64 %i
  %w32 = load i32, ptr %who_at, align 4
  %w = zext i32 %w32 to i64
  %pair_at = getelementptr i64, ptr %pair, i64 %v
  store i64 %w, ptr %pair_at, align 8
  br label %amounts
amounts:
  %amount_at = getelementptr i32, ptr %amount, i64 %i
  %m32 = load i32, ptr %amount_at, align 4
  %has = icmp ne i32 %m32, 0
  br i1 %has, label %some, label %next
some:
  %m = zext i32 %m32 to i64
  switch i8 %k8, label %next [i8 0, label %cheer
                              i8 4, label %raid]
cheer:
  %bits_at = getelementptr i64, ptr %bits, i64 %v
  %b = load i64, ptr %bits_at, align 8
  %b_new = add i64 %b, %m
  store i64 %b_new, ptr %bits_at, align 8
  br label %next
raid:
  %raid_at = getelementptr i64, ptr %raids, i64 %v
  %r = load i64, ptr %raid_at, align 8
  %r_new = add i64 %r, %m
  store i64 %r_new, ptr %raid_at, align 8
  br label %next
next:
  %i_next = add i64 %i, 1
  %more = icmp ult i64 %i_next, %n
  br i1 %more, label %event, label %done
done:
  ret void
}

define void @gather_strings(ptr noalias %text, ptr noalias %begin, ptr noalias %end, ptr noalias %rows, i64 %n,
                            ptr noalias %out) "no-builtins" {
entry:
  %any = icmp ne i64 %n, 0
  br i1 %any, label %string, label %done
string:
  %i = phi i64 [0, %entry], [%i_next, %copied]
  %to = phi ptr [%out, %entry], [%to_next, %copied]
  %row_at = getelementptr i64, ptr %rows, i64 %i
  %row = load i64, ptr %row_at, align 8
  %begin_at = getelementptr i64, ptr %begin, i64 %row
  %end_at = getelementptr i64, ptr %end, i64 %row
  %b = load i64, ptr %begin_at, align 8
  %e = load i64, ptr %end_at, align 8
  %size = sub i64 %e, %b
  %from = getelementptr i8, ptr %text, i64 %b
  %empty = icmp eq i64 %size, 0
  br i1 %empty, label %copied, label %word
word:
  %d = phi i64 [0, %string], [%d_next, %word]
  %in_at = getelementptr i8, ptr %from, i64 %d
  %out_at = getelementptr i8, ptr %to, i64 %d
  %w = load i64, ptr %in_at, align 1
  store i64 %w, ptr %out_at, align 1
  %d_next = add i64 %d, 8
  %more_words = icmp ult i64 %d_next, %size
  br i1 %more_words, label %word, label %copied
copied:
  %to_next = getelementptr i8, ptr %to, i64 %size
  %i_next = add i64 %i, 1
  %more = icmp ult i64 %i_next, %n
  br i1 %more, label %string, label %done
done:
  ret void
}
"""


def _order_words() -> str:
    """Eight passes from one pair of arrays to the other and back, written out."""
    lines = [
        "define void @order_words(ptr noalias %words, i64 %n, ptr noalias %counts, ptr noalias %order,",
        '                         ptr noalias %words2, ptr noalias %order2) "no-builtins" {',
        "entry:",
        "  br label %count",
        "count:",
        "  %i = phi i64 [0, %entry], [%i_next, %count_word]",
        "  %more = icmp ult i64 %i, %n",
        "  br i1 %more, label %count_word, label %sum0",
        "count_word:",
        "  %word_at = getelementptr i64, ptr %words, i64 %i",
        "  %word = load i64, ptr %word_at, align 8",
        "  %place_at = getelementptr i64, ptr %order, i64 %i",
        "  store i64 %i, ptr %place_at, align 8",
    ]
    for d in range(8):
        lines += [
            *_digit("word", d, f"c{d}"),
            f"  %c{d}_new = add i32 %c{d}_count, 1",
            f"  store i32 %c{d}_new, ptr %c{d}_at, align 4",
        ]
    lines += ["  %i_next = add i64 %i, 1", "  br label %count"]
    for d in range(8):
        given = ("%words", "%order") if d % 2 == 0 else ("%words2", "%order2")
        taken = ("%words2", "%order2") if d % 2 == 0 else ("%words", "%order")
        before = "count" if d == 0 else f"move{d - 1}"
        after = f"sum{d + 1}" if d < 7 else "done"
        lines += [
            f"sum{d}:",  # how many have a lesser digit: where the first with this one goes
            f"  %s{d} = phi i64 [0, %{before}], [%s{d}_next, %sum{d}]",
            f"  %run{d} = phi i32 [0, %{before}], [%run{d}_next, %sum{d}]",
            f"  %s{d}_cell = add i64 %s{d}, {256 * d}",
            f"  %s{d}_at = getelementptr i32, ptr %counts, i64 %s{d}_cell",
            f"  %s{d}_count = load i32, ptr %s{d}_at, align 4",
            f"  store i32 %run{d}, ptr %s{d}_at, align 4",
            f"  %run{d}_next = add i32 %run{d}, %s{d}_count",
            f"  %s{d}_next = add i64 %s{d}, 1",
            f"  %s{d}_more = icmp ult i64 %s{d}_next, 256",
            f"  br i1 %s{d}_more, label %sum{d}, label %move{d}",
            f"move{d}:",
            f"  %m{d} = phi i64 [0, %sum{d}], [%m{d}_next, %move{d}_word]",
            f"  %m{d}_more = icmp ult i64 %m{d}, %n",
            f"  br i1 %m{d}_more, label %move{d}_word, label %{after}",
            f"move{d}_word:",
            f"  %w{d}_from = getelementptr i64, ptr {given[0]}, i64 %m{d}",
            f"  %w{d} = load i64, ptr %w{d}_from, align 8",
            f"  %o{d}_from = getelementptr i64, ptr {given[1]}, i64 %m{d}",
            f"  %o{d} = load i64, ptr %o{d}_from, align 8",
            *_digit(f"w{d}", d, f"p{d}"),
            f"  %p{d}_new = add i32 %p{d}_count, 1",
            f"  store i32 %p{d}_new, ptr %p{d}_at, align 4",
            f"  %p{d} = zext i32 %p{d}_count to i64",
            f"  %w{d}_to = getelementptr i64, ptr {taken[0]}, i64 %p{d}",
            f"  store i64 %w{d}, ptr %w{d}_to, align 8",
            f"  %o{d}_to = getelementptr i64, ptr {taken[1]}, i64 %p{d}",
            f"  store i64 %o{d}, ptr %o{d}_to, align 8",
            f"  %m{d}_next = add i64 %m{d}, 1",
            f"  br label %move{d}",
        ]
    return "\n".join([*lines, "done:", "  ret void", "}", ""])


def _digit(word: str, d: int, name: str) -> list[str]:
    """%<name>_at, %<name>_count: the count of byte d of that word."""
    return [
        f"  %{name}_shifted = lshr i64 %{word}, {8 * d}",
        f"  %{name}_digit = and i64 %{name}_shifted, 255",
        f"  %{name}_cell = add i64 %{name}_digit, {256 * d}",
        f"  %{name}_at = getelementptr i32, ptr %counts, i64 %{name}_cell",
        f"  %{name}_count = load i32, ptr %{name}_at, align 4",
    ]


TEXT: Final = _LOOPS + "\n" + _order_words()
