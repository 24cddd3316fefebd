"""The token itself: a Token-2022 mint with its name inside, made, read, and handed over.

In: names and authorities, or the bytes of a mint account. Out: instructions, or what the account says. Layouts: the
interfaces of SPL Token-2022, its metadata pointer and SPL token metadata.
"""

import struct
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from spl.token.constants import TOKEN_2022_PROGRAM_ID
from spl.token.instructions import initialize_mint2, set_authority
from spl.token.models import AuthorityType, InitializeMint2Params, SetAuthorityParams

from streams.chain.errors import AccountDataError, TermsError
from streams.chain.terms import DECIMALS

MAX_TEXT_BYTES: Final = {"name": 32, "symbol": 10, "uri": 200}
"""What wallets and explorers show in full. Source: Metaplex, whose bounds the field kept."""
BASE_BYTES: Final = 82
TYPE_AT: Final = 165
"""Where an extended mint says that it is one: behind the length of a token account."""
POINTER_BYTES: Final = 64
INITIALIZE_METADATA: Final = sha256(b"spl_token_metadata_interface:initialize_account").digest()[:8]
METADATA_POINTER: Final = 18
TOKEN_METADATA: Final = 19
EXTENSIONS: Final = {
    1: "transfer fee",
    3: "mint close authority",
    4: "confidential transfers",
    6: "default account state",
    9: "non-transferable",
    10: "interest bearing",
    12: "permanent delegate",
    14: "transfer hook",
    METADATA_POINTER: "metadata pointer",
    TOKEN_METADATA: "token metadata",
    20: "group pointer",
    22: "group member pointer",
    25: "scaled amounts",
    26: "pausable",
}
"""Extensions of a mint by their number; source: Token-2022, ExtensionType."""
HARMFUL: Final = frozenset((1, 3, 4, 6, 9, 12, 14, 26))
"""With these a holder may lose, or be unable to use, what was paid out: not a mint to pay claims from."""


@dataclass(frozen=True, slots=True)
class TokenNames:
    """What wallets show. Raises TermsError where a text is too long."""

    name: str
    symbol: str
    uri: str = ""

    def __post_init__(self) -> None:
        for field, most in MAX_TEXT_BYTES.items():
            size = len(getattr(self, field).encode())
            if size > most or (size == 0 and field != "uri"):
                least = 0 if field == "uri" else 1
                raise TermsError(f"{field} of {size} bytes; a token's {field} has {least} to {most}")


@dataclass(frozen=True, slots=True)
class MintState:
    """What a mint's account says. metadata None: none inside; extensions: their numbers."""

    supply_base_units: int
    decimals: int
    mint_authority: Pubkey | None
    freeze_authority: Pubkey | None
    metadata: TokenNames | None
    metadata_authority: Pubkey | None
    extensions: tuple[int, ...]

    @property
    def harmful(self) -> tuple[str, ...]:
        """Names of what makes it unfit to pay claims from."""
        return tuple(EXTENSIONS.get(one, f"extension {one}") for one in self.extensions if one in HARMFUL)

    def unfit(self, minter: Pubkey | None) -> tuple[str, ...]:
        """Why no claims can be paid in it, each with the mend; empty where they can. minter: who is to mint; None where
        nobody does (claims come out of a treasury)."""
        found = []
        if self.decimals != DECIMALS:
            found.append(f"it has {self.decimals} decimals, and amounts are made for {DECIMALS}; make another mint")
        if self.harmful:
            found.append(f"it has {', '.join(self.harmful)}: holders may lose what was paid out; make another mint")
        if minter is not None and self.mint_authority != minter:
            found.append(f"its authority is {self.mint_authority or 'nobody'}, the signer's key is {minter}")
        return tuple(found)


def account_bytes() -> int:
    """Size at which the account is made: with the pointer. The metadata make it grow, its rent is paid beforehand."""
    return TYPE_AT + 1 + 4 + POINTER_BYTES


def final_bytes(names: TokenNames) -> int:
    """Size in the end: ask the chain for the rent of this."""
    texts = sum(4 + len(text.encode()) for text in (names.name, names.symbol, names.uri))
    return account_bytes() + 4 + 32 + 32 + texts + 4


def create_mint(
    payer: Pubkey,
    mint: Pubkey,
    authority: Pubkey,
    names: TokenNames,
    rent_lamports: int,
    freeze_authority: Pubkey | None = None,
) -> list[Instruction]:
    """Make the account, its pointer to itself, the mint, its names. Signed by payer, mint and authority, who is mint
    authority and the one who may change the names. rent_lamports: of final_bytes."""
    return [
        create_account(
            CreateAccountParams(
                from_pubkey=payer,
                to_pubkey=mint,
                lamports=rent_lamports,
                space=account_bytes(),
                owner=TOKEN_2022_PROGRAM_ID,
            )
        ),
        # MetadataPointerExtension, Initialize: who may change the pointer, and where it points.
        Instruction(
            TOKEN_2022_PROGRAM_ID, bytes((39, 0)) + bytes(authority) + bytes(mint), [AccountMeta(mint, False, True)]
        ),
        initialize_mint2(
            InitializeMint2Params(
                decimals=DECIMALS,
                program_id=TOKEN_2022_PROGRAM_ID,
                mint=mint,
                mint_authority=authority,
                freeze_authority=freeze_authority,
            )
        ),
        Instruction(
            TOKEN_2022_PROGRAM_ID,
            INITIALIZE_METADATA + b"".join(_text(text) for text in (names.name, names.symbol, names.uri)),
            [
                AccountMeta(mint, False, True),
                AccountMeta(authority, False, False),
                AccountMeta(mint, False, False),
                AccountMeta(authority, True, False),
            ],
        ),
    ]


def hand_over(mint: Pubkey, authority: Pubkey, to: Pubkey | None) -> Instruction:
    """Another mint authority, or none for ever."""
    return set_authority(
        SetAuthorityParams(
            program_id=TOKEN_2022_PROGRAM_ID,
            account=mint,
            authority=AuthorityType.MINT_TOKENS,
            current_authority=authority,
            new_authority=to,
        )
    )


def read_mint(owner: Pubkey, data: bytes) -> MintState:
    """What the account says. owner: its program. Raises AccountDataError where it is no Token-2022 mint."""
    if owner != TOKEN_2022_PROGRAM_ID:
        raise AccountDataError(f"the account belongs to {owner}, not to Token-2022; name another mint")
    extended = len(data) > TYPE_AT
    if (len(data) != BASE_BYTES and not extended) or (extended and data[TYPE_AT] != 1) or data[45] != 1:
        raise AccountDataError(f"the account's {len(data)} bytes are no initialised mint; name another")
    extensions = dict(_extensions(data[TYPE_AT + 1 :]))
    metadata, metadata_authority = None, None
    if (inside := extensions.get(TOKEN_METADATA)) is not None:
        metadata, metadata_authority = _metadata(inside)
    return MintState(
        supply_base_units=int.from_bytes(data[36:44], "little"),
        decimals=data[44],
        mint_authority=_optional(data[0:36]),
        freeze_authority=_optional(data[46:82]),
        metadata=metadata,
        metadata_authority=metadata_authority,
        extensions=tuple(extensions),
    )


def _extensions(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("<HH", data, at)
        if kind == 0:
            break
        if at + 4 + length > len(data):
            raise AccountDataError(f"extension {kind} of the mint ends outside the account")
        found.append((kind, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return found


def _metadata(data: bytes) -> tuple[TokenNames, Pubkey | None]:
    at, texts = 64, []
    try:
        for _ in range(3):
            (length,) = struct.unpack_from("<I", data, at)
            if at + 4 + length > len(data):
                raise AccountDataError("the mint's metadata end outside their extension")
            texts.append(data[at + 4 : at + 4 + length].decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise AccountDataError(f"the mint's metadata cannot be read: {error}") from None
    # Others' mints may hold longer texts than ours: they are shown cut.
    cut = [
        text.encode()[:most].decode(errors="ignore") for text, most in zip(texts, MAX_TEXT_BYTES.values(), strict=True)
    ]
    name, symbol, uri = cut
    authority = data[:32]
    return TokenNames(name or "-", symbol or "-", uri), Pubkey.from_bytes(authority) if any(authority) else None


def _optional(piece: bytes) -> Pubkey | None:
    return Pubkey.from_bytes(piece[4:]) if piece[:4] == b"\1\0\0\0" else None


def _text(text: str) -> bytes:
    return struct.pack("<I", len(text.encode())) + text.encode()
