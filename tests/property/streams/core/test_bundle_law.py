"""Law of proof bundles: whatever the hour and whoever asks, the bundle verifies, and no other bytes do."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.bundle import ViewerOpening, decode, encode
from schemas.errors import ProofError, SchemaError
from schemas.seal import epoch_key, epoch_tag, viewer_key, viewer_ref
from schemas.sealed import SealedEpoch
from streams.core.proofs import ProvableEpoch
from streams.core.verify import verify_bundle
from tests.hours import CHANNEL, PEPPER, T0_S, sealed_hour

identities = st.integers(1, 60).map(lambda number: f"twitch:id:{number}") | st.sampled_from(
    ["twitch:login:ann", "twitch:login:zoë", "twitch:login:" + "x" * 60]
)
hours = st.lists(identities, unique=True, max_size=40).map(
    lambda names: sealed_hour([(name, name.rpartition(":")[2]) for name in names])
)


def opened(identity: str) -> tuple[bytes, ViewerOpening]:
    key = epoch_key(viewer_key(identity, PEPPER), epoch_tag(CHANNEL, T0_S))
    return viewer_ref(identity, key), ViewerOpening(identity=identity, epoch_key=key.hex())


def provable(hour: SealedEpoch) -> ProvableEpoch:
    return ProvableEpoch(hour.header.encode(), hour.policy, hour.preimages())


@given(hours, identities)
def test_a_viewer_is_proved_present_just_when_the_hour_has_them(hour: SealedEpoch, identity: str) -> None:
    ref, shown = opened(identity)
    found = verify_bundle(decode(provable(hour).prove_json(ref, shown)))
    assert found.header == hour.header
    assert (found.identity, found.viewer_ref) == (identity, ref)
    assert (found.kind == "presence") == (identity in hour.body.identities)
    if found.index is not None:
        assert hour.body.identities[found.index] == identity
        assert found.messages == int(hour.body.counts.messages[found.index])
    else:
        assert (found.weight_centi, found.amount_base_units) == (0, 0)


@given(hours, st.binary(min_size=32, max_size=32))
def test_any_ref_is_proved_one_way_or_the_other_and_the_json_is_the_bundles(hour: SealedEpoch, ref: bytes) -> None:
    tree = provable(hour)
    found = verify_bundle(tree.prove(ref))
    assert found.viewer_ref == ref
    assert found.kind == ("absence" if tree.index_of(ref) is None else "presence")
    assert tree.prove_json(ref) == encode(tree.prove(ref))


@given(hours, identities, st.booleans(), st.data())
def test_a_bundle_with_bytes_changed_taken_or_added_does_not_hold(
    hour: SealedEpoch, identity: str, show: bool, data: st.DataObject
) -> None:
    ref, shown = opened(identity)
    text = provable(hour).prove_json(ref, shown if show else None)
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start, min(len(text), start + 8)))
    bent = text[:start] + data.draw(st.binary(max_size=8)) + text[end:]
    try:
        bundle = decode(bent)
        found = verify_bundle(bundle)
    except (ProofError, SchemaError):
        return
    # What still verifies says the same in other bytes, or is about another seal or ref than the one asked for.
    assert bundle == decode(text) or found.header.hash() != hour.header.hash() or found.viewer_ref != ref


@given(hours, hours, identities)
def test_a_bundle_of_one_hour_does_not_pass_for_another(one: SealedEpoch, other: SealedEpoch, identity: str) -> None:
    ref, shown = opened(identity)
    bundle = decode(provable(one).prove_json(ref, shown))
    found = verify_bundle(bundle)
    assert (found.header.hash() == other.header.hash()) == (one.header == other.header)
