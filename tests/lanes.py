"""The instruction sets that the hash lanes are tested on: all that this machine's processor has."""

import pytest

from streams.core.native_code import INSTRUCTION_SETS, InstructionSet, NativeCodeUnavailable, instruction_set


def lanes_of_this_machine() -> list[InstructionSet]:
    """Every instruction set that this processor has, not only its best."""
    try:
        best = instruction_set()
    except NativeCodeUnavailable:
        return []
    levels = [InstructionSet(level, lanes) for level, lanes, _ in INSTRUCTION_SETS]
    return levels[levels.index(best) :]


LANES = lanes_of_this_machine()
needs_lanes = pytest.mark.skipif(not LANES, reason="processor without AVX2: this machine has the loop only")
