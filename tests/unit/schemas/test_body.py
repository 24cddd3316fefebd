"""A body that was damaged is said to be so, whatever its bytes state."""

import pytest

from schemas.body import decode_body, decode_leaves, encode_body
from schemas.errors import SchemaError
from tests.hours import sealed_hour, viewers_of

BLOB = encode_body(sealed_hour(viewers_of(40)).body)


def test_a_frame_that_states_a_size_over_the_bound_is_refused_before_memory_is_taken() -> None:
    # zstd format, frame header: magic, descriptor of a single segment with a size of 8 bytes, the size.
    vast = BLOB[:4] + bytes([0b1110_0000]) + (2**50).to_bytes(8, "little") + BLOB[7:]
    for decode in (decode_body, decode_leaves):
        with pytest.raises(SchemaError, match="unpacks to more than the bound"):
            decode(vast)


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
def test_damage_in_any_byte_is_a_fault_of_the_body_or_changes_what_it_says(bits: int) -> None:
    for place in range(len(BLOB)):
        damaged = bytearray(BLOB)
        damaged[place] ^= bits
        for decode in (decode_body, decode_leaves):
            try:
                decode(bytes(damaged))
            except SchemaError:
                continue
