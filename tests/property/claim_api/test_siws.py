"""Laws of the sign-in text: reading back what was written gives the same, and no other byte is taken for it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from claim_api.wallets import siws
from claim_api.wallets.siws import SiwsError
from tests.siws_messages import DOMAIN, IDENTITY, KEY, WALLET, asked, forms

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,40}[a-z0-9])?(:[0-9]{1,5})?", fullmatch=True)
WORDS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=80)


@st.composite
def sign_ins(draw: st.DrawFn) -> siws.SignIn:
    issued_ms = draw(st.integers(0, 4_000_000_000_000))
    issued = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=issued_ms)
    domain = draw(NAMES)
    return siws.SignIn(
        domain=domain,
        address=str(Keypair.from_seed(draw(st.binary(min_size=32, max_size=32))).pubkey()),
        uri=f"https://{domain}",
        chain_id=draw(st.sampled_from(["localnet", "devnet", "testnet", "mainnet"])),
        nonce=draw(st.from_regex(r"[0-9a-zA-Z]{16,64}", fullmatch=True)),
        issued_at=issued,
        expiration_time=issued + timedelta(seconds=draw(st.integers(0, siws.LIFE_S))),
        identity=f"twitch:id:{draw(st.integers(0, 2**63 - 1))}",
        statement=draw(WORDS),
        version=draw(st.sampled_from(["1", "2"])),
    )


@given(sign_ins())
def test_what_is_built_is_read_back(said: siws.SignIn) -> None:
    assert siws.parse(siws.build(said).encode()) == said


@given(st.binary(max_size=1_300))
def test_whatever_comes_is_read_or_refused(data: bytes) -> None:
    try:
        assert siws.build(siws.parse(data)).encode() == data
    except SiwsError as error:
        assert error.field


@given(st.data())
def test_no_byte_of_what_was_signed_may_differ(data: st.DataObject) -> None:
    text = siws.build(asked()).encode()
    made = forms(text, bytes(KEY.pubkey()))
    message = made[data.draw(st.sampled_from(sorted(made)))]
    signature = bytes(KEY.sign_message(message))
    siws.verify_binding(message, signature, WALLET, IDENTITY, DOMAIN, "localnet")
    whole = bytearray(message + signature)
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SiwsError):
        siws.verify_binding(
            bytes(whole[: len(message)]), bytes(whole[len(message) :]), WALLET, IDENTITY, DOMAIN, "localnet"
        )


@given(st.data())
def test_a_text_that_differs_in_a_byte_is_not_the_one_asked_for_even_where_it_is_signed(data: st.DataObject) -> None:
    text = bytearray(siws.build(asked()).encode())
    text[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    message = bytes(text)
    with pytest.raises(SiwsError):
        siws.check(siws.verified(message, bytes(KEY.sign_message(message)), WALLET, DOMAIN), asked())
