"""Short keys of viewers: a Twitch id is its own key, nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.keys import MAX_ARITHMETIC_KEY, arithmetic_key, arithmetic_keys

DIGITS = st.text("0123456789", min_size=1, max_size=20)
IDENTITIES = st.one_of(
    DIGITS.map(lambda digits: f"twitch:id:{digits}"),
    st.text(min_size=1, max_size=40).map(lambda login: f"twitch:login:{login}"),
    st.text(max_size=30),
    st.text("0123456789/:ab", max_size=25).map(lambda rest: f"twitch:id:{rest}"),
)


@pytest.mark.parametrize(
    ("identity", "key"),
    [
        ("twitch:id:0", 0),
        ("twitch:id:274598607", 274598607),
        (f"twitch:id:{MAX_ARITHMETIC_KEY}", MAX_ARITHMETIC_KEY),
        (f"twitch:id:{MAX_ARITHMETIC_KEY + 1}", None),
        ("twitch:id:007", None),
        ("twitch:id:٣", None),
        ("twitch:login:7", None),
    ],
)
def test_only_a_canonical_id_below_2_to_the_63_is_its_own_key(identity: str, key: int | None) -> None:
    assert arithmetic_key(identity) == key


@given(st.lists(IDENTITIES, max_size=30))
def test_keys_by_columns_equal_keys_one_by_one(identities: list[str]) -> None:
    identities = [identity.replace("\0", "") for identity in identities if identity != "twitch:id:"]
    keys, sure = arithmetic_keys(identities)
    assert [key if known else None for key, known in zip(keys.tolist(), sure.tolist(), strict=True)] == [
        arithmetic_key(identity) for identity in identities
    ]
