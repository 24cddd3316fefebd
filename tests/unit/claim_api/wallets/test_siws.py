"""Sign-In With Solana: one text, read back strictly; every field forged once; both forms; strict signatures."""

import hashlib
from dataclasses import replace
from datetime import timedelta

import pytest

from claim_api.wallets import ed25519, off_chain, siws
from claim_api.wallets.siws import SiwsError
from tests.siws_messages import AT, DOMAIN, IDENTITY, KEY, OTHER, WALLET, asked, forms

TEXT = siws.build(asked()).encode()
PUBLIC = bytes(KEY.pubkey())


def signed(message: bytes) -> bytes:
    return bytes(KEY.sign_message(message))


def refuses(message: bytes, signature: bytes, wallet: str = WALLET) -> str:
    """The field that verify_binding names."""
    with pytest.raises(SiwsError) as caught:
        siws.verify_binding(message, signature, wallet, IDENTITY, DOMAIN, "localnet")
    return caught.value.field


def test_the_text_is_that_of_the_wallet_standard() -> None:
    """As createSignInMessageText of @solana/wallet-standard-util writes the same input."""
    assert siws.build(asked()) == (
        "rewards.example:8443 wants you to sign in with your Solana account:\n"
        "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9\n"
        "\n"
        "Pay the rewards of my Twitch account to this wallet. Signing is free and moves no funds.\n"
        "\n"
        "URI: https://rewards.example:8443\n"
        "Version: 1\n"
        "Chain ID: localnet\n"
        "Nonce: 0123456789abcdef0123456789abcdef\n"
        "Issued At: 2026-11-26T12:00:00.123Z\n"
        "Expiration Time: 2026-11-26T12:10:00.123Z\n"
        "Resources:\n"
        "- twitch:id:5"
    )


@pytest.mark.parametrize("form", forms(TEXT, PUBLIC))
def test_every_form_of_it_binds(form: str) -> None:
    message = forms(TEXT, PUBLIC)[form]
    siws.verify_binding(message, signed(message), WALLET, IDENTITY, DOMAIN, "localnet")
    assert siws.verified(message, signed(message), WALLET, DOMAIN) == asked()


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("domain", {"domain": "evil.example"}),
        ("domain", {"domain": DOMAIN + "."}),
        ("address", {"address": str(OTHER.pubkey())}),
        ("uri", {"uri": "https://evil.example"}),
        ("uri", {"uri": f"https://{DOMAIN}/"}),
        ("chain_id", {"chain_id": "mainnet"}),
        ("chain_id", {"chain_id": "solana:localnet"}),
        ("version", {"version": "2"}),
        ("statement", {"statement": "Give me everything."}),
        ("statement", {"statement": siws.STATEMENT + " "}),
        ("resources", {"identity": "twitch:id:6"}),
        ("resources", {"identity": "twitch:login:ann"}),
        ("resources", {"identity": "twitch:id:05"}),
        ("nonce", {"nonce": "short"}),
        ("nonce", {"nonce": "0123456789abcdef-0123456789abcde"}),
    ],
)
@pytest.mark.parametrize("form", ["siws", "v1", "compact 0", "v0 format 0 domain 0"])
def test_a_field_that_is_not_ours_is_refused_by_name(field: str, change: dict[str, str], form: str) -> None:
    message = forms(siws.build(replace(asked(), **change)).encode(), PUBLIC)[form]  # type: ignore[arg-type]
    assert refuses(message, signed(message)) == field


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("nonce", {"nonce": "f" * 32}),
        ("issued_at", {"issued_at": AT + timedelta(seconds=1)}),
        ("expiration_time", {"expiration_time": AT + timedelta(days=365)}),
    ],
)
def test_what_the_server_asked_is_compared_field_by_field(field: str, change: dict[str, object]) -> None:
    said = siws.parse(siws.build(replace(asked(), **change)).encode())  # type: ignore[arg-type]
    with pytest.raises(SiwsError) as caught:
        siws.check(said, asked())
    assert caught.value.field == field


def test_times_hold_at_their_very_millisecond() -> None:
    siws.check_times(asked(), AT)
    siws.check_times(asked(), AT + timedelta(seconds=siws.LIFE_S) - timedelta(milliseconds=1))
    for at, field in (
        (AT + timedelta(seconds=siws.LIFE_S), "expiration_time"),
        (AT - timedelta(seconds=31), "issued_at"),
    ):
        with pytest.raises(SiwsError) as caught:
            siws.check_times(asked(), at)
        assert caught.value.field == field
    with pytest.raises(SiwsError) as caught:
        siws.check_times(replace(asked(), expiration_time=AT + timedelta(seconds=siws.LIFE_S + 1)), AT)
    assert caught.value.field == "expiration_time"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("Pay the rewards", "Pay the rew\u0430rds", "statement"),  # Cyrillic a
        ("rewards.example", "rewards\u3002example", "domain"),  # ideographic full stop
        ("twitch:id:5", "twitch:id:\uff15", "resources"),  # full-width five
        (" wants", "\u00a0wants", "domain"),
        ("Twitch", "Tw\u0131tch", "statement"),
        ("URI: ", "\u202eURI: ", "uri"),
        ("\n- twitch", "\r\n- twitch", "resources"),
        ("free", "fr\tee", "statement"),
        ("\nURI", "\n\nURI", "uri"),
        ("- twitch:id:5", "- twitch:id:5\n", "resources"),
        ("- twitch:id:5", "- twitch:id:5\n- twitch:id:6", "resources"),
        ("Version: 1\n", "", "version"),
        ("Version: 1\n", "Version: 1\nNot Before: 2026-11-26T12:00:00.123Z\n", "chain_id"),
        ("Resources:", "Request ID: 1\nResources:", "resources"),
        ("URI: ", "Uri: ", "uri"),
        ("Chain ID: localnet\nNonce: ", "Nonce: localnet\nChain ID: ", "chain_id"),
        ("Nonce: ", "Nonce:  ", "nonce"),
        ("12:00:00.123Z", "12:00:00Z", "issued_at"),
        ("12:00:00.123Z", "12:00:00.123+00:00", "issued_at"),
        ("12:00:00.123Z", "25:00:00.123Z", "issued_at"),
        ("12:10:00.123Z", "24:00:00.000Z", "expiration_time"),
        ("Resources:", "Resources: ", "resources"),
        ("- twitch", "* twitch", "resources"),
        ("Solana account:", "Ethereum account:", "domain"),
        ("AKnL4", "\u0410KnL4", "address"),  # Cyrillic A
        ("\nAKnL4", "\n\nAKnL4", "address"),
        ("https", "h\u03c4tps", "uri"),  # Greek tau
        ("Version: 1", "Version: \u0661", "version"),  # Arabic-Indic one
        ("localnet", "l\u043ecalnet", "chain_id"),  # Cyrillic o
        ("abcdef", "\u0430bcdef", "nonce"),
        ("12:00:00", "1\u0968:00:00", "issued_at"),  # Devanagari two
        ("12:10:00", "12:1O:00", "expiration_time"),
        ("12:10:00", "12\uff1a10:00", "expiration_time"),  # full-width colon
        ("Issued At: 2026", "Issued At: 0026", "issued_at"),
        ("\n\nURI", "\nURI", "statement"),
        ("\n\nPay", "\nPay", "statement"),
        ("Resources:\n- twitch:id:5", "Resources:", "resources"),
        ("Resources:\n- twitch:id:5", "", "resources"),
    ],
)
def test_what_is_written_otherwise_is_refused(old: str, new: str, field: str) -> None:
    text = TEXT.decode()
    assert old in text
    message = text.replace(old, new, 1).encode()
    assert refuses(message, signed(message)) == field


def test_a_text_that_is_too_long_is_not_read() -> None:
    message = siws.build(replace(asked(), statement="x" * 1_200)).encode()
    assert refuses(message, signed(message)) == "message"


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("header", b"\xfesolana offchain" + off_chain.wrap(TEXT, PUBLIC)[16:]),
        ("header_version", off_chain.PREFIX + b"\x02" + off_chain.wrap(TEXT, PUBLIC)[17:]),
        ("header_version", off_chain.PREFIX),
        ("application_domain", off_chain.wrap(TEXT, PUBLIC, b"evil.example".ljust(32, b"\0"))),
        ("application_domain", off_chain.wrap(TEXT, PUBLIC, hashlib.sha256(b"evil.example").digest())),
        ("application_domain", off_chain.wrap(TEXT, PUBLIC)[:40]),
        ("message_format", off_chain.wrap(TEXT, PUBLIC, message_format=2)),
        ("message_format", off_chain.wrap(TEXT, PUBLIC)[:49]),
        ("signers", off_chain.wrap(TEXT, bytes(OTHER.pubkey()))),
        ("signers", off_chain.wrap_v1(TEXT, bytes(OTHER.pubkey()))),
        ("signers", off_chain.PREFIX + b"\x01\x02" + PUBLIC + bytes(OTHER.pubkey()) + TEXT),
        ("signers", off_chain.wrap(TEXT, PUBLIC)[:80]),
        ("signers", off_chain.PREFIX + b"\x01\x00" + TEXT),
        ("message_length", off_chain.wrap(TEXT, PUBLIC) + b"\n"),
        ("message_length", off_chain.wrap(TEXT, PUBLIC)[:-1]),
        ("message_length", off_chain.wrap_compact(TEXT) + b"x" * 3_000),
        ("application_domain", off_chain.wrap_compact(TEXT) + b"\n"),
        ("application_domain", off_chain.wrap_compact(TEXT, 2)),
    ],
)
def test_a_header_that_is_not_of_a_form_is_refused_by_field(field: str, message: bytes) -> None:
    if field == "header":
        # It begins as neither text nor header.
        assert refuses(message, signed(message)) in ("header", "domain")
    else:
        assert refuses(message, signed(message)) == field


def test_a_domain_longer_than_the_header_has_room_is_cut() -> None:
    domain = "a-very-long-name-of-a-site.rewards.example"
    text = siws.build(replace(asked(), domain=domain, uri=f"https://{domain}")).encode()
    message = off_chain.wrap(text, PUBLIC, domain.encode()[:32])
    siws.verify_binding(message, signed(message), WALLET, IDENTITY, domain, "localnet")


# ---- signatures --------------------------------------------------------------------------------------------------

IDENTITY_POINT = (1).to_bytes(32, "little")
SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
]
"""The eight points whose order divides 8."""
NON_CANONICAL = [
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
"""y >= p, or a sign on an x of 0."""


def test_a_good_signature_is_good() -> None:
    ed25519.verify(PUBLIC, TEXT, signed(TEXT))


def test_another_keys_signature_is_refused() -> None:
    assert refuses(TEXT, bytes(OTHER.sign_message(TEXT))) == "signature"
    assert refuses(TEXT, bytes(64)) == "signature"
    assert refuses(TEXT, signed(TEXT)[:63]) == "signature"


@pytest.mark.parametrize("times", [1, 2, 7])
def test_s_plus_the_group_order_is_refused(times: int) -> None:
    good = signed(TEXT)
    s = int.from_bytes(good[32:], "little") + times * ed25519.L
    with pytest.raises(ValueError, match="S is not in its one encoding"):
        ed25519.verify(PUBLIC, TEXT, good[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_of_small_order_signs_nothing(point: str) -> None:
    """With the identity as key and as R, S = 0 "signs" every message for a lax verifier."""
    for r in (IDENTITY_POINT, bytes.fromhex(point)):
        with pytest.raises(ValueError, match="the key is of small order"):
            ed25519.verify(bytes.fromhex(point), TEXT, r + bytes(32))
    with pytest.raises(ValueError, match="R is of small order"):
        ed25519.verify(PUBLIC, TEXT, bytes.fromhex(point) + signed(TEXT)[32:])


@pytest.mark.parametrize("point", NON_CANONICAL)
def test_a_point_in_another_encoding_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="the key is not in its one encoding"):
        ed25519.verify(bytes.fromhex(point), TEXT, signed(TEXT))
    with pytest.raises(ValueError, match="R is not in its one encoding"):
        ed25519.verify(PUBLIC, TEXT, bytes.fromhex(point) + signed(TEXT)[32:])


def test_a_signature_of_the_text_is_none_of_the_header() -> None:
    wrapped = off_chain.wrap(TEXT, PUBLIC)
    assert refuses(wrapped, signed(TEXT)) == "signature"
    assert refuses(TEXT, signed(wrapped)) == "signature"


@pytest.mark.parametrize(
    "wallet",
    [
        "",
        "0" + WALLET[1:],
        WALLET[:-1] + "l",
        WALLET + "1",
        "1" + WALLET,
        " " + WALLET,
        WALLET + "\n",
        WALLET.replace("A", "\u0410", 1),
        "11111111111111111111111111111111",  # the System program: y = 0, of small order
        "x" * 5_000,
    ],
)
def test_what_is_no_address_is_refused(wallet: str) -> None:
    with pytest.raises(SiwsError) as caught:
        siws.key_of(wallet)
    assert caught.value.field == "address" and len(str(caught.value)) < 400
