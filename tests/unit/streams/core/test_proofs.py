"""Proof bundles of a sealed hour: every ref is proved present or absent, and every byte of a bundle is bound.

What binds what: leaf, path, policy and opening are bound by the seal's header; the header itself is bound by its hash,
which a verifier takes from a place it trusts (seals.jsonl, the API, later the transparency log); the ref of an absence
without an opening is the question, which the asker knows.
"""

import json
from typing import Any

import pytest

from schemas.bundle import Absence, Bundle, Presence, ViewerOpening, decode, encode
from schemas.errors import ProofError, SchemaError
from schemas.seal import epoch_key, epoch_tag, viewer_key, viewer_ref
from schemas.sealed import SealedEpoch
from streams.core.proofs import ProvableEpoch
from streams.core.verify import verify_bundle
from tests.hours import CHANNEL, PEPPER, T0_S, sealed_hour, viewers_of

NOBODY = "twitch:id:999999999"


def provable(hour: SealedEpoch) -> ProvableEpoch:
    return ProvableEpoch(hour.header.encode(), hour.policy, hour.preimages())


def opening(identity: str) -> tuple[bytes, ViewerOpening]:
    key = epoch_key(viewer_key(identity, PEPPER), epoch_tag(CHANNEL, T0_S))
    return viewer_ref(identity, key), ViewerOpening(identity=identity, epoch_key=key.hex())


def holds(text: bytes, hour: SealedEpoch, ref: bytes) -> bool:
    """What a verifier does who knows the seal's hash and whom it asked about."""
    try:
        found = verify_bundle(decode(text))
    except (ProofError, SchemaError):
        return False
    return found.header.hash() == hour.header.hash() and found.viewer_ref == ref


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 31, 32, 33, 64, 100, 257])
def test_every_ref_of_every_tree_shape_is_proved_present(count: int) -> None:
    hour = sealed_hour(viewers_of(count))
    tree = provable(hour)
    for index, row in enumerate(hour.body.refs):
        found = verify_bundle(tree.prove(row.tobytes()))
        assert (found.kind, found.index, found.viewer_ref) == ("presence", index, row.tobytes())
        assert found.weight_centi == int(hour.body.counts.weight_centi[index])
        assert tree.index_of(row.tobytes()) == index


@pytest.mark.parametrize("count", [0, 1, 2, 3, 33, 100])
def test_every_gap_of_a_tree_is_proved_absent(count: int) -> None:
    hour = sealed_hour(viewers_of(count))
    tree = provable(hour)
    numbers = [int.from_bytes(row.tobytes(), "big") for row in hour.body.refs]
    for number in {0, 2**256 - 1, *(n - 1 for n in numbers), *(n + 1 for n in numbers)}:
        ref = number.to_bytes(32, "big")
        found = verify_bundle(tree.prove(ref))
        assert (found.kind, found.viewer_ref, found.index) == ("absence", ref, None)
        assert tree.index_of(ref) is None


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 200])
def test_the_json_written_at_once_is_the_encoded_bundle(count: int) -> None:
    hour = sealed_hour([*viewers_of(max(0, count - 1)), ("twitch:login:zoë", "zoë")][:count])
    tree = provable(hour)
    _, shown = opening("twitch:login:zoë")
    for _ in range(2):  # once as it is made, once from what is kept
        for ref in [*(row.tobytes() for row in hour.body.refs), bytes(32), b"\xff" * 32]:
            assert tree.prove_json(ref) == encode(tree.prove(ref))
            assert tree.prove_json(ref, shown) == encode(tree.prove(ref, shown))


def test_refs_that_end_in_zero_bytes_are_told_apart() -> None:
    hour = sealed_hour(viewers_of(3))
    tree = provable(hour)
    ref = hour.body.refs[1].tobytes()
    cut = ref[:31] + b"\0"
    assert cut == ref or verify_bundle(tree.prove(cut)).kind == "absence"


def test_a_tree_counts_the_memory_it_may_come_to_hold() -> None:
    hour = sealed_hour(viewers_of(1000))
    tree = provable(hour)
    before = tree.nbytes
    for row in hour.body.refs:
        tree.prove_json(row.tobytes())
    kept = sum(len(text) for text in tree._upper.values())
    assert tree.nbytes == before >= hour.preimages().nbytes + tree.tree.nbytes + kept


def bundles() -> list[tuple[str, SealedEpoch, bytes, bytes]]:
    """(name, hour, ref, JSON) of each kind."""
    hour, empty = sealed_hour(viewers_of(9)), sealed_hour([])
    tree = provable(hour)
    present, shown = opening("twitch:id:1004")
    absent, shown_absent = opening(NOBODY)
    found = [
        ("presence", hour, present, tree.prove_json(present)),
        ("presence with opening", hour, present, tree.prove_json(present, shown)),
        ("absence", hour, absent, tree.prove_json(absent)),
        ("absence with opening", hour, absent, tree.prove_json(absent, shown_absent)),
        ("absence below all", hour, bytes(32), tree.prove_json(bytes(32))),
        ("absence above all", hour, b"\xff" * 32, tree.prove_json(b"\xff" * 32)),
        ("absence in an empty hour", empty, absent, provable(empty).prove_json(absent)),
    ]
    assert all(holds(text, of, ref) for _, of, ref, text in found)
    return found


@pytest.mark.parametrize(("name", "hour", "ref", "text"), bundles(), ids=[one[0] for one in bundles()])
def test_a_bundle_with_any_bit_of_any_byte_flipped_does_not_hold(
    name: str, hour: SealedEpoch, ref: bytes, text: bytes
) -> None:
    true = decode(text)
    for place in range(len(text)):
        for bit in range(8):
            bent = bytearray(text)
            bent[place] ^= 1 << bit
            assert not holds(bytes(bent), hour, ref) or decode(bytes(bent)) == true, f"{name}: byte {place} bit {bit}"


@pytest.mark.parametrize(("name", "hour", "ref", "text"), bundles(), ids=[one[0] for one in bundles()])
def test_a_bundle_with_any_hex_digit_changed_does_not_hold(
    name: str, hour: SealedEpoch, ref: bytes, text: bytes
) -> None:
    for place, digit in enumerate(text):
        if chr(digit) in "0123456789abcdef":
            other = b"0123456789abcdef"[(b"0123456789abcdef".index(digit) + 7) % 16]
            bent = text[:place] + bytes([other]) + text[place + 1 :]
            assert not holds(bent, hour, ref), f"{name}: digit {place}"


@pytest.mark.parametrize(("name", "hour", "ref", "text"), bundles(), ids=[one[0] for one in bundles()])
def test_a_bundle_that_lacks_a_field_or_has_one_more_does_not_hold(
    name: str, hour: SealedEpoch, ref: bytes, text: bytes
) -> None:
    fields: dict[str, Any] = json.loads(text)
    for field in fields:
        # viewer, log and checkpoint may be null, but must be there; v says the form.
        fewer = {key: value for key, value in fields.items() if key != field}
        assert field == "v" or not holds(json.dumps(fewer).encode(), hour, ref), field
    assert not holds(json.dumps({**fields, "more": 1}).encode(), hour, ref)
    assert not holds(json.dumps({**fields, "v": 2}).encode(), hour, ref)
    assert not holds(json.dumps({**fields, "log": {"index": 0, "size": 1, "path": []}}).encode(), hour, ref)
    assert not holds(json.dumps({**fields, "checkpoint": "note"}).encode(), hour, ref)
    policy = {**fields["policy"], "base_units_per_centi": fields["policy"]["base_units_per_centi"] + 1}
    assert not holds(json.dumps({**fields, "policy": policy}).encode(), hour, ref)


@pytest.mark.parametrize("field", ["leaf", "seal"])
def test_hex_with_a_line_end_behind_it_is_no_hex(field: str) -> None:
    _, _, _, text = bundles()[0]
    fields = json.loads(text)
    with pytest.raises(SchemaError, match=field):
        decode(json.dumps({**fields, field: fields[field] + "\n"}))


def test_a_bundle_nested_beyond_reason_is_a_schema_error() -> None:
    _, _, _, text = bundles()[0]
    for depth in (500, 900, 100_000):
        deep = text.replace(b'"grace_s":120', b'"grace_s":' + b"[" * depth + b"]" * depth)
        with pytest.raises(SchemaError):
            verify_bundle(decode(deep))


def test_white_space_changes_nothing() -> None:
    for _, hour, ref, text in bundles():
        assert holds(json.dumps(json.loads(text), indent=2).encode(), hour, ref)


def test_a_path_of_another_length_is_refused() -> None:
    hour = sealed_hour(viewers_of(9))
    bundle = provable(hour).prove(hour.body.refs[4].tobytes())
    assert isinstance(bundle, Presence)
    for path in (bundle.path[:-1], [*bundle.path, bundle.path[-1]], []):
        with pytest.raises(ProofError):
            verify_bundle(replaced(bundle, path=path))


def test_neighbours_that_are_not_side_by_side_prove_no_absence() -> None:
    hour = sealed_hour(viewers_of(9))
    tree = provable(hour)
    refs = [row.tobytes() for row in hour.body.refs]
    # An absence that hides leaf 4 behind leaves 3 and 5.
    left, right = tree.prove(refs[3]), tree.prove(refs[5])
    assert isinstance(left, Presence)
    assert isinstance(right, Presence)
    around = tree.prove((int.from_bytes(refs[4], "big") + 1).to_bytes(32, "big"))
    assert isinstance(around, Absence)
    hiding = json.loads(encode(around))
    hiding["viewer_ref"] = refs[4].hex()
    hiding["left"] = {"leaf": left.leaf, "path": left.path}
    hiding["right"] = {"leaf": right.leaf, "path": right.path}
    with pytest.raises(ProofError, match="side by side"):
        verify_bundle(decode(json.dumps(hiding).encode()))
    for side in ("left", "right"):
        with pytest.raises(ProofError):
            verify_bundle(decode(json.dumps({**hiding, side: None}).encode()))
    with pytest.raises(ProofError):
        verify_bundle(decode(json.dumps({**hiding, "left": None, "right": None}).encode()))


def test_a_ref_that_has_a_leaf_is_never_proved_absent_by_its_own_neighbours() -> None:
    hour = sealed_hour(viewers_of(9))
    tree = provable(hour)
    refs = [row.tobytes() for row in hour.body.refs]
    gap = tree.prove((int.from_bytes(refs[4], "big") + 1).to_bytes(32, "big"))
    for ref in (refs[4], refs[5], refs[0], refs[8]):
        bent = json.loads(encode(gap))
        bent["viewer_ref"] = ref.hex()
        with pytest.raises(ProofError):
            verify_bundle(decode(json.dumps(bent).encode()))


def replaced(bundle: Bundle, **changes: Any) -> Bundle:
    return decode(json.dumps({**json.loads(encode(bundle)), **changes}).encode())
