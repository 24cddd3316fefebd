"""Headers and coverage whose values do not fit their place are refused, not cut or filled up."""

from typing import Any

import msgspec
import pytest

from schemas.errors import SchemaError
from schemas.seal import COVERAGE_CODES, SealHeader, coverage_hash, decode_header
from tests.hours import sealed_hour

HEADER: SealHeader = sealed_hour([]).header
HASHES = ("root", "policy_hash", "input_digest", "coverage_hash", "pepper_commit")


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 65_536},
        {"revision": -1},
        {"epoch_length_s": 2**32},
        {"epoch_start_s": 2**64},
        {"channel": "x" * 65_536},
        {"channel": "\ud800"},
        {"leaf_count": 2**32},
        {"total_weight_centi": 2**64},
        {"total_messages": -1},
        *({name: bytes(length)} for name in HASHES for length in (0, 31, 33)),
    ],
    ids=lambda change: f"{next(iter(change))}-{next(iter(change.values()))!r:.12}",
)
def test_a_value_that_does_not_fit_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SchemaError, match="seal header"):
        msgspec.structs.replace(HEADER, **change).encode()


def test_the_greatest_values_fit() -> None:
    header = msgspec.structs.replace(
        HEADER, revision=65_535, leaf_count=2**32 - 1, total_weight_centi=2**64 - 1, epoch_start_s=2**64 - 1
    )
    assert decode_header(header.encode()) == header


def test_every_byte_too_few_or_too_many_of_a_header_is_refused() -> None:
    data = HEADER.encode()
    for damaged in (
        *(data[:end] for end in range(len(data))),
        data + b"\0",
        b"X" + data[1:],
        data[:8] + b"\2" + data[9:],
    ):
        with pytest.raises(SchemaError):
            decode_header(damaged)


@pytest.mark.parametrize("interval", [(-1, 2, "live"), (1, 2**64, "live"), (1, 2, "seen")])
def test_coverage_of_another_form_is_refused(interval: tuple[int, int, str]) -> None:
    assert all(coverage_hash([(1, 2, kind)]) for kind in COVERAGE_CODES)
    with pytest.raises(SchemaError, match="coverage that is no list"):
        coverage_hash([interval])
