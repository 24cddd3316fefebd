"""Terms of payments for tests, with keys that are the same every time, and transactions as their pieces."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey

from streams.chain import signing
from streams.chain.terms import Terms, instructions

BLOCKHASH = Hash.from_bytes(b"\x77" * 32)


def key(number: int) -> Keypair:
    """A key pair of its own for each number."""
    return Keypair.from_seed(bytes([number]) * 32)


SERVER, WALLET, AUTHORITY, MINT, STRANGER = (key(number) for number in range(1, 6))


def terms(
    *, fee: Literal["server", "viewer"] = "server", source: Literal["mint", "treasury"] = "mint", **changed: Any
) -> Terms:
    """A claim of 8 CHAT."""
    made = Terms(
        fee_payer=(SERVER if fee == "server" else WALLET).pubkey(),
        server_fee_payer=SERVER.pubkey(),
        wallet=WALLET.pubkey(),
        mint=MINT.pubkey(),
        authority=AUTHORITY.pubkey(),
        source=source,
        amount_base_units=8_000_000_000,
        marker_seed="0123456789abcdef" * 2,
        marker_lamports=890_880,
        compute_unit_price_micro_lamports=1_000,
    )
    return replace(made, **changed)


@dataclass(frozen=True)
class Pieces:
    """A transaction as its instructions."""

    payer: Pubkey
    instructions: tuple[Instruction, ...]

    @classmethod
    def of(cls, wanted: Terms) -> "Pieces":
        """What the terms ask for."""
        return cls(wanted.fee_payer, tuple(instructions(wanted)))

    def with_(self, index: int, *put: Instruction) -> "Pieces":
        """Another instruction, or several, or none, in the place of one."""
        return replace(self, instructions=(*self.instructions[:index], *put, *self.instructions[index + 1 :]))

    def message(self, version: Literal["legacy", 0] = "legacy") -> Message | MessageV0:
        """Compiled."""
        if version == "legacy":
            return Message.new_with_blockhash(list(self.instructions), self.payer, BLOCKHASH)
        return MessageV0.try_compile(self.payer, list(self.instructions), [], BLOCKHASH)

    def transaction(self, version: Literal["legacy", 0] = "legacy") -> bytes:
        """Compiled, with every signature's place empty."""
        return signing.unsigned(self.message(version))


def changed(
    instruction: Instruction,
    *,
    program: Pubkey | None = None,
    accounts: list[AccountMeta] | None = None,
    data: bytes | None = None,
) -> Instruction:
    """The instruction with something else in it."""
    return Instruction(
        program or instruction.program_id,
        bytes(instruction.data) if data is None else data,
        instruction.accounts if accounts is None else accounts,
    )
