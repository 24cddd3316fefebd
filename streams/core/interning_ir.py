"""Interning of an epoch's viewers written as LLVM IR: scalar code, the same for every width of lanes.

Stands behind `kernels`, through which `interning` calls it. Pure text. In: viewers as they lie packed in an envelope,
msgpack [identity, login] pairs one after the other. Out: a number for each pair, the same for equal bytes.

    intern_pairs(packed, bytes, count, seed, arena, starts, hashes, slots, mask, known, numbers)
            -> pairs now known, with PLAIN set where every new one is plain; or -1
        Reads `count` pairs that fill `bytes` exactly. A pair not yet known is appended to `arena` (its bytes),
        `starts` (u32, one more than there are pairs) and `hashes` (u64); `slots` (u32, mask + 1 of them, a power of
        two) is an open-addressed table of pair numbers plus one, probed in line. The caller gives room for all.
        -1: the bytes are no such pairs, not in their shortest form, or a pair of at most 8 bytes; what was appended
        before that is to be forgotten.
    place_pairs(hashes, count, slots, mask)
        Puts pairs 0 .. count - 1 into empty slots.
"""

from typing import Final

PLAIN: Final = 1 << 62
FUNCTIONS: Final = ("intern_pairs", "place_pairs")

_STRING: Final = """
string{n}:
  %h{n}_at = getelementptr i8, ptr %packed, i64 %s{n}
  %s{n}_left = sub i64 %bytes, %s{n}
  %s{n}_room = icmp ne i64 %s{n}_left, 0
  br i1 %s{n}_room, label %header{n}, label %bad
header{n}:
  %h{n} = load i8, ptr %h{n}_at, align 1
  %h{n}_kind = and i8 %h{n}, -32
  %h{n}_short = icmp eq i8 %h{n}_kind, -96
  br i1 %h{n}_short, label %short{n}, label %long{n}
short{n}:
  %h{n}_low = and i8 %h{n}, 31
  %short{n}_bytes = zext i8 %h{n}_low to i64
  br label %sized{n}
long{n}:
  %h{n}_wide = icmp ugt i64 %s{n}_left, 5
  br i1 %h{n}_wide, label %pick{n}, label %bad
pick{n}:
  %l{n}_at = getelementptr i8, ptr %h{n}_at, i64 1
  switch i8 %h{n}, label %bad [i8 -39, label %u8_{n}
                               i8 -38, label %u16_{n}
                               i8 -37, label %u32_{n}]
{widths}sized{n}:
  %head{n} = phi i64 [1, %short{n}], [2, %u8_{n}], [3, %u16_{n}], [5, %u32_{n}]
  %text{n} = phi i64 [%short{n}_bytes, %short{n}], [%u8_{n}_bytes, %u8_{n}],
                     [%u16_{n}_bytes, %u16_{n}], [%u32_{n}_bytes, %u32_{n}]
  %whole{n} = add i64 %head{n}, %text{n}
  %fits{n} = icmp ule i64 %whole{n}, %s{n}_left
  %e{n} = add i64 %s{n}, %whole{n}
  br i1 %fits{n}, label %{then}, label %bad
"""
"""One msgpack string at offset %s<n>, in the shortest of its four forms. Ends at %e<n>."""

_WIDTH: Final = """u{bits}_{n}:
  %l{n}_{bits} = load i{bits}, ptr %l{n}_at, align 1
  {turned}
  %u{bits}_{n}_bytes = zext i{bits} %l{n}_{bits}_turned to i64
  %u{bits}_{n}_shortest = icmp ugt i64 %u{bits}_{n}_bytes, {shorter}
  br i1 %u{bits}_{n}_shortest, label %sized{n}, label %bad
"""
"""A length of so many bits, which the next shorter form could not say."""


def _string(n: int, then: str) -> str:
    widths = ""
    for bits, shorter in ((8, 31), (16, 255), (32, 65_535)):
        loaded = f"%l{n}_{bits}"
        swap = f"call i{bits} @llvm.bswap.i{bits}(i{bits} {loaded})" if bits > 8 else f"add i8 {loaded}, 0"
        widths += _WIDTH.format(n=n, bits=bits, shorter=shorter, turned=f"{loaded}_turned = {swap}")
    return _STRING.format(n=n, then=then, widths=widths)


TEXT: Final = (
    """
declare i16 @llvm.bswap.i16(i16)
declare i32 @llvm.bswap.i32(i32)

define i64 @intern_pairs(ptr %packed, i64 %bytes, i64 %count, i64 %seed, ptr %arena, ptr %starts, ptr %hashes,
                         ptr %slots, i64 %mask, i64 %known0, ptr %numbers) "no-builtins" {
entry:
  %free_at0 = getelementptr i32, ptr %starts, i64 %known0
  %free0_32 = load i32, ptr %free_at0, align 4
  %free0 = zext i32 %free0_32 to i64
  br label %pair
pair:
  %i = phi i64 [0, %entry], [%i_next, %numbered]
  %p = phi i64 [0, %entry], [%e2, %numbered]
  %known = phi i64 [%known0, %entry], [%known_next, %numbered]
  %free = phi i64 [%free0, %entry], [%free_next, %numbered]
  %plain = phi i1 [true, %entry], [%plain_next, %numbered]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %array, label %end
end:
  %all_read = icmp eq i64 %p, %bytes
  br i1 %all_read, label %done, label %bad
done:
  %plain_bit = select i1 %plain, i64 4611686018427387904, i64 0
  %result = or i64 %known, %plain_bit
  ret i64 %result
bad:
  ret i64 -1
array:
  %inside = icmp ult i64 %p, %bytes
  br i1 %inside, label %array_head, label %bad
array_head:
  %text = getelementptr i8, ptr %packed, i64 %p
  %array_byte = load i8, ptr %text, align 1
  %is_pair = icmp eq i8 %array_byte, -110
  %s1 = add i64 %p, 1
  br i1 %is_pair, label %string1, label %bad
"""
    + _string(1, "string1_done")
    + """
string1_done:
  %s2 = add i64 %e1, 0
  br label %string2
"""
    + _string(2, "sized")
    + """
sized:
  %size = sub i64 %e2, %p
  %tail = sub i64 %size, 8
  %hashable = icmp ugt i64 %size, 8
  br i1 %hashable, label %hash, label %bad
hash:
  %at = phi i64 [0, %sized], [%at_next, %hash]
  %state = phi i64 [%seed, %sized], [%mixed, %hash]
  %last = icmp uge i64 %at, %tail
  %from = select i1 %last, i64 %tail, i64 %at
  %word_at = getelementptr i8, ptr %text, i64 %from
  %word = load i64, ptr %word_at, align 1
  %x = xor i64 %state, %word
  %m = mul i64 %x, -7046029254386353131
  %r = lshr i64 %m, 29
  %mixed = xor i64 %m, %r
  %at_next = add i64 %at, 8
  br i1 %last, label %hashed, label %hash
hashed:
  %first_slot = and i64 %mixed, %mask
  br label %probe
probe:
  %slot = phi i64 [%first_slot, %hashed], [%slot_next, %other]
  %slot_at = getelementptr i32, ptr %slots, i64 %slot
  %held = load i32, ptr %slot_at, align 4
  %empty = icmp eq i32 %held, 0
  br i1 %empty, label %insert, label %compare
compare:
  %held64 = zext i32 %held to i64
  %number = sub i64 %held64, 1
  %hash_at = getelementptr i64, ptr %hashes, i64 %number
  %its_hash = load i64, ptr %hash_at, align 8
  %same_hash = icmp eq i64 %its_hash, %mixed
  br i1 %same_hash, label %compare_size, label %other
compare_size:
  %its_start_at = getelementptr i32, ptr %starts, i64 %number
  %its_end_at = getelementptr i32, ptr %starts, i64 %held64
  %its_start32 = load i32, ptr %its_start_at, align 4
  %its_end32 = load i32, ptr %its_end_at, align 4
  %its_start = zext i32 %its_start32 to i64
  %its_end = zext i32 %its_end32 to i64
  %its_size = sub i64 %its_end, %its_start
  %same_size = icmp eq i64 %its_size, %size
  %its_text = getelementptr i8, ptr %arena, i64 %its_start
  br i1 %same_size, label %compare_word, label %other
compare_word:
  %c = phi i64 [0, %compare_size], [%c_next, %compare_on]
  %c_last = icmp uge i64 %c, %tail
  %c_from = select i1 %c_last, i64 %tail, i64 %c
  %a_at = getelementptr i8, ptr %text, i64 %c_from
  %b_at = getelementptr i8, ptr %its_text, i64 %c_from
  %a = load i64, ptr %a_at, align 1
  %b = load i64, ptr %b_at, align 1
  %same_word = icmp eq i64 %a, %b
  br i1 %same_word, label %compare_on, label %other
compare_on:
  %c_next = add i64 %c, 8
  br i1 %c_last, label %found, label %compare_word
found:
  br label %numbered
other:
  %slot_after = add i64 %slot, 1
  %slot_next = and i64 %slot_after, %mask
  br label %probe
insert:
  %copy_text = getelementptr i8, ptr %arena, i64 %free
  br label %copy
copy:
  %d = phi i64 [0, %insert], [%d_next, %copy]
  %d_last = icmp uge i64 %d, %tail
  %d_from = select i1 %d_last, i64 %tail, i64 %d
  %d_in = getelementptr i8, ptr %text, i64 %d_from
  %d_out = getelementptr i8, ptr %copy_text, i64 %d_from
  %d_word = load i64, ptr %d_in, align 1
  store i64 %d_word, ptr %d_out, align 1
  %d_next = add i64 %d, 8
  br i1 %d_last, label %copied, label %copy
copied:
  %free_after = add i64 %free, %size
  %known_after = add i64 %known, 1
  %new_end = trunc i64 %free_after to i32
  %new_end_at = getelementptr i32, ptr %starts, i64 %known_after
  store i32 %new_end, ptr %new_end_at, align 4
  %new_hash_at = getelementptr i64, ptr %hashes, i64 %known
  store i64 %mixed, ptr %new_hash_at, align 8
  %new_held = trunc i64 %known_after to i32
  store i32 %new_held, ptr %slot_at, align 4
  %all_short = icmp eq i64 %head1, 1
  %few = icmp ult i64 %text1, 31
  %enough = icmp ugt i64 %text1, 10
  %id_sized0 = and i1 %few, %enough
  %id_sized = and i1 %id_sized0, %all_short
  br i1 %id_sized, label %prefix, label %checked
prefix:
  %p1_at = getelementptr i8, ptr %text, i64 2
  %p2_at = getelementptr i8, ptr %text, i64 10
  %p1 = load i64, ptr %p1_at, align 1
  %p2 = load i16, ptr %p2_at, align 1
  %p1_good = icmp eq i64 %p1, 7582487698995771252
  %p2_good = icmp eq i16 %p2, 14948
  %prefixed = and i1 %p1_good, %p2_good
  %digits_end = add i64 %text1, 2
  br i1 %prefixed, label %digit, label %checked
digit:
  %g = phi i64 [12, %prefix], [%g_next, %digit_good]
  %g_more = icmp ult i64 %g, %digits_end
  br i1 %g_more, label %digit_read, label %digits_done
digit_read:
  %g_at = getelementptr i8, ptr %text, i64 %g
  %g_byte = load i8, ptr %g_at, align 1
  %g_value = sub i8 %g_byte, 48
  %g_good = icmp ult i8 %g_value, 10
  br i1 %g_good, label %digit_good, label %checked
digit_good:
  %g_next = add i64 %g, 1
  br label %digit
digits_done:
  %login_from = add i64 %digits_end, %head2
  br label %login
login:
  %f = phi i64 [%login_from, %digits_done], [%f_next, %login_good]
  %f_more = icmp ult i64 %f, %size
  br i1 %f_more, label %login_read, label %checked
login_read:
  %f_at = getelementptr i8, ptr %text, i64 %f
  %f_byte = load i8, ptr %f_at, align 1
  %f_good = icmp sgt i8 %f_byte, -1
  br i1 %f_good, label %login_good, label %checked
login_good:
  %f_next = add i64 %f, 1
  br label %login
checked:
  %this_plain = phi i1 [false, %copied], [false, %prefix], [false, %digit_read], [true, %login], [false, %login_read]
  %plain_after = and i1 %plain, %this_plain
  br label %numbered
numbered:
  %its_number = phi i64 [%number, %found], [%known, %checked]
  %known_next = phi i64 [%known, %found], [%known_after, %checked]
  %free_next = phi i64 [%free, %found], [%free_after, %checked]
  %plain_next = phi i1 [%plain, %found], [%plain_after, %checked]
  %out_at = getelementptr i32, ptr %numbers, i64 %i
  %out = trunc i64 %its_number to i32
  store i32 %out, ptr %out_at, align 4
  %i_next = add i64 %i, 1
  br label %pair
}

define void @place_pairs(ptr %hashes, i64 %count, ptr %slots, i64 %mask) "no-builtins" {
entry:
  %any = icmp ne i64 %count, 0
  br i1 %any, label %pair, label %done
pair:
  %i = phi i64 [0, %entry], [%i_next, %place]
  %hash_at = getelementptr i64, ptr %hashes, i64 %i
  %hash = load i64, ptr %hash_at, align 8
  %first = and i64 %hash, %mask
  br label %probe
probe:
  %slot = phi i64 [%first, %pair], [%slot_next, %taken]
  %slot_at = getelementptr i32, ptr %slots, i64 %slot
  %held = load i32, ptr %slot_at, align 4
  %empty = icmp eq i32 %held, 0
  br i1 %empty, label %place, label %taken
taken:
  %after = add i64 %slot, 1
  %slot_next = and i64 %after, %mask
  br label %probe
place:
  %i_next = add i64 %i, 1
  %held_new = trunc i64 %i_next to i32
  store i32 %held_new, ptr %slot_at, align 4
  %more = icmp ult i64 %i_next, %count
  br i1 %more, label %pair, label %done
done:
  ret void
}
"""
)
