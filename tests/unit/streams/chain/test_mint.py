"""The mint's account is read as Token-2022 writes it; whatever else an account holds is an error with its reason."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from spl.token.constants import TOKEN_2022_PROGRAM_ID, TOKEN_PROGRAM_ID

from streams.chain import mint
from streams.chain.errors import AccountDataError, TermsError
from tests.payments import AUTHORITY, MINT, SERVER

NAMES = mint.TokenNames("Chät", "CHAT", "https://chat.example/chat.json")


def made() -> bytes:
    """The account as the program itself wrote it."""
    svm = LiteSVM()
    svm.airdrop(SERVER.pubkey(), 10**10)
    rent = svm.minimum_balance_for_rent_exemption(mint.final_bytes(NAMES))
    making = mint.create_mint(SERVER.pubkey(), MINT.pubkey(), AUTHORITY.pubkey(), NAMES, rent, AUTHORITY.pubkey())
    message = Message.new_with_blockhash(making, SERVER.pubkey(), svm.latest_blockhash())
    svm.send_transaction(VersionedTransaction(message, [SERVER, MINT, AUTHORITY]))
    account = svm.get_account(MINT.pubkey())
    assert account is not None
    return bytes(account.data)


ACCOUNT = made()


def read(data: bytes) -> mint.MintState:
    return mint.read_mint(TOKEN_2022_PROGRAM_ID, data)


def test_what_was_made_is_what_is_read() -> None:
    state = read(ACCOUNT)
    assert state.metadata == NAMES
    assert state.freeze_authority == state.mint_authority == state.metadata_authority == AUTHORITY.pubkey()
    assert (state.decimals, state.supply_base_units) == (9, 0)
    assert state.extensions == (mint.METADATA_POINTER, mint.TOKEN_METADATA)
    assert len(ACCOUNT) == mint.final_bytes(NAMES)


def test_a_plain_mint_has_no_names() -> None:
    state = read(ACCOUNT[: mint.BASE_BYTES])
    assert (state.metadata, state.metadata_authority, state.extensions) == (None, None, ())


@pytest.mark.parametrize("kind", sorted(mint.HARMFUL))
def test_extensions_that_can_hurt_holders_are_named(kind: int) -> None:
    state = read(ACCOUNT + struct.pack("<HH", kind, 32) + bytes(32))
    assert state.harmful == (mint.EXTENSIONS[kind],)


def test_an_extension_that_nobody_knows_is_kept_by_its_number() -> None:
    assert read(ACCOUNT + struct.pack("<HH", 999, 0)).extensions[-1] == 999


@pytest.mark.parametrize(
    ("owner", "data", "said"),
    [
        (TOKEN_PROGRAM_ID, ACCOUNT, "not to Token-2022"),
        (TOKEN_2022_PROGRAM_ID, b"", "0 bytes are no initialised mint"),
        (TOKEN_2022_PROGRAM_ID, ACCOUNT[:100], "100 bytes are no initialised mint"),
        (TOKEN_2022_PROGRAM_ID, ACCOUNT[:165] + b"\2" + ACCOUNT[166:], "no initialised mint"),
        (TOKEN_2022_PROGRAM_ID, ACCOUNT[:45] + b"\0" + ACCOUNT[46:], "no initialised mint"),
        (TOKEN_2022_PROGRAM_ID, ACCOUNT[:-5], "ends outside the account"),
    ],
)
def test_what_is_no_mint_is_told(owner: Pubkey, data: bytes, said: str) -> None:
    with pytest.raises(AccountDataError, match=said):
        mint.read_mint(owner, data)


@given(st.data())
def test_whatever_an_account_holds_is_read_or_told(data: st.DataObject) -> None:
    body = bytearray(ACCOUNT)
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AccountDataError):
        read(bytes(body[: data.draw(st.integers(0, len(body)))]))


@pytest.mark.parametrize(
    "given_",
    [("", "CHAT", ""), ("x" * 33, "CHAT", ""), ("Chat", "", ""), ("Chat", "x" * 11, ""), ("Chat", "C", "x" * 201)],
)
def test_names_that_wallets_would_cut_are_refused(given_: tuple[str, str, str]) -> None:
    with pytest.raises(TermsError, match="a token's"):
        mint.TokenNames(*given_)


def test_a_mint_of_ours_is_fit_to_pay_claims_in() -> None:
    assert read(ACCOUNT).unfit(AUTHORITY.pubkey()) == read(ACCOUNT).unfit(None) == ()


@pytest.mark.parametrize(
    ("account", "minter", "words"),
    [
        (ACCOUNT, SERVER.pubkey(), f"its authority is {AUTHORITY.pubkey()}, the signer's key is {SERVER.pubkey()}"),
        (b"\0" * 36 + ACCOUNT[36:], AUTHORITY.pubkey(), "its authority is nobody"),
        (ACCOUNT[:44] + b"\6" + ACCOUNT[45:], None, "it has 6 decimals"),
        (ACCOUNT + struct.pack("<HH", 12, 32) + bytes(32), None, "it has permanent delegate"),
    ],
)
def test_why_a_mint_is_not_fit_is_said(account: bytes, minter: Pubkey | None, words: str) -> None:
    [said] = read(account).unfit(minter)
    assert said.startswith(words)
