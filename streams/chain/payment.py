"""The one shape of a paying transaction, read: a stranger's bytes in, a Payment out, or the first thing that differs.

A signer signs nothing that this module did not take apart. The compute budget may differ within the terms' bounds, the
order of the account keys as a wallet's compiler likes it, and the message may be legacy or version 0; all else is
compared with what streams.chain.terms makes. docs/claims.md, The one shape.
"""

from dataclasses import dataclass
from typing import Final

from solders.hash import Hash
from solders.instruction import Instruction
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import SanitizeError, VersionedTransaction

from streams.chain.errors import PaymentMismatch
from streams.chain.terms import Terms, instructions

MAX_TRANSACTION_BYTES: Final = 1232
"""What fits one packet: IPv6's least MTU less its headers. Source: Solana, PACKET_DATA_SIZE."""


@dataclass(frozen=True, slots=True)
class Payment:
    """A transaction that pays what the terms say.

    message: the bytes that are signed. signed_by: whose signatures are there and verify; the others' places are empty.
    """

    transaction: bytes
    message: bytes
    blockhash: Hash
    compute_unit_limit: int
    compute_unit_price_micro_lamports: int
    signatures: tuple[Signature, ...]
    signers: tuple[Pubkey, ...]
    signed_by: frozenset[Pubkey]

    @property
    def signature(self) -> Signature:
        """The fee payer's: the name of the transaction on the chain. All zeros until it has signed."""
        return self.signatures[0]

    @property
    def missing(self) -> tuple[Pubkey, ...]:
        """Whose signatures are still to come."""
        return tuple(signer for signer in self.signers if signer not in self.signed_by)


@dataclass(frozen=True, slots=True)
class _Shape:
    """How errors name an instruction, its accounts, and the pieces of its data (end offset, name)."""

    name: str
    accounts: tuple[str, ...]
    data: tuple[tuple[int, str], ...]


_LIMIT: Final = _Shape("SetComputeUnitLimit", (), ((1, "instruction"), (5, "compute unit limit")))
_PRICE: Final = _Shape("SetComputeUnitPrice", (), ((1, "instruction"), (9, "compute unit price")))
_MARKER: Final = _Shape(
    "CreateAccountWithSeed",
    ("funder", "marker", "base"),
    (
        (4, "instruction"),
        (36, "base"),
        (44, "seed length"),
        (76, "seed"),
        (84, "lamports"),
        (92, "space"),
        (124, "owner"),
    ),
)
_ACCOUNT: Final = _Shape(
    "CreateIdempotent",
    ("funder", "token account", "wallet", "mint", "System program", "token program"),
    ((1, "instruction"),),
)
_MINT: Final = _Shape(
    "MintToChecked",
    ("mint", "token account", "mint authority"),
    ((1, "instruction"), (9, "amount"), (10, "decimals")),
)
_TRANSFER: Final = _Shape(
    "TransferChecked",
    ("treasury account", "mint", "token account", "treasury's owner"),
    ((1, "instruction"), (9, "amount"), (10, "decimals")),
)
_NUMBERS: Final = frozenset(("amount", "decimals", "lamports", "space", "seed length", "instruction"))


def read_payment(transaction: bytes, terms: Terms) -> Payment:
    """Take a transaction apart. Raises PaymentMismatch, which names the first thing that is not as the terms say.

    A signature may be absent (all zeros), but none may be wrong.
    """
    parsed = _parse(transaction)
    message = parsed.message
    assert isinstance(message, Message | MessageV0)  # _parse lets no other through
    wanted, keys = instructions(terms), message.account_keys
    if keys[0] != terms.fee_payer:
        raise PaymentMismatch(f"the fee payer is {keys[0]}, not {terms.fee_payer}")
    shapes = (_LIMIT, _PRICE, _MARKER, _ACCOUNT, _MINT if terms.source == "mint" else _TRANSFER)
    budget: list[int] = []
    for index, (shape, want) in enumerate(zip(shapes, wanted, strict=True)):
        where = f"instruction {index + 1} ({shape.name})"
        if index >= len(message.instructions):
            raise PaymentMismatch(f"{where} is missing")
        given = message.instructions[index]
        program = _key(keys, given.program_id_index, where)
        if program != want.program_id:
            raise PaymentMismatch(f"{where}: the program is {program}, not {want.program_id}")
        _same_accounts([_key(keys, at, where) for at in given.accounts], want, shape, where)
        data = bytes(given.data)
        if shape in (_LIMIT, _PRICE):
            budget.append(_within(data, bytes(want.data), shape, where))
        else:
            _same_data(data, bytes(want.data), shape, where)
    if len(message.instructions) > len(wanted):
        extra = message.instructions[len(wanted)]
        raise PaymentMismatch(
            f"instruction {len(wanted) + 1} (program {_key(keys, extra.program_id_index, 'it')}) is one too many"
        )
    _same_keys(message, wanted, terms)
    signers = tuple(keys[: message.header.num_required_signatures])
    return Payment(
        transaction=transaction,
        message=to_bytes_versioned(message),
        blockhash=message.recent_blockhash,
        compute_unit_limit=budget[0],
        compute_unit_price_micro_lamports=budget[1],
        signatures=tuple(parsed.signatures),
        signers=signers,
        signed_by=_signed_by(parsed, signers),
    )


def _parse(transaction: bytes) -> VersionedTransaction:
    if len(transaction) > MAX_TRANSACTION_BYTES:
        raise PaymentMismatch(f"the transaction has {len(transaction)} bytes; at most {MAX_TRANSACTION_BYTES}")
    try:
        parsed = VersionedTransaction.from_bytes(transaction)
        whole = bytes(parsed)
        parsed.sanitize()
    except (ValueError, SanitizeError) as error:
        raise PaymentMismatch(f"these bytes are no transaction: {error}") from None
    message = parsed.message
    if not isinstance(message, Message | MessageV0):
        raise PaymentMismatch("the message is of a version that wallets do not need; legacy or version 0")
    if whole != transaction:
        raise PaymentMismatch(f"the transaction is {len(transaction)} bytes, but reads as {len(whole)} others")
    if isinstance(message, MessageV0) and message.address_table_lookups:
        raise PaymentMismatch("the transaction uses address lookup tables; name every account in full")
    if len(parsed.signatures) != message.header.num_required_signatures:
        raise PaymentMismatch(
            f"{len(parsed.signatures)} signatures for {message.header.num_required_signatures} signers"
        )
    return parsed


def _key(keys: list[Pubkey], at: int, where: str) -> Pubkey:
    if at >= len(keys):
        raise PaymentMismatch(f"{where} names account {at} of {len(keys)}")
    return keys[at]


def _same_accounts(given: list[Pubkey], want: Instruction, shape: _Shape, where: str) -> None:
    wanted = [meta.pubkey for meta in want.accounts]
    for name, one, other in zip(shape.accounts, given, wanted, strict=False):
        if one != other:
            raise PaymentMismatch(f"{where}: the {name} is {one}, not {other}")
    if len(given) != len(wanted):
        raise PaymentMismatch(f"{where}: {len(given)} accounts, not {len(wanted)}")


def _same_data(given: bytes, wanted: bytes, shape: _Shape, where: str) -> None:
    if len(given) != len(wanted):
        raise PaymentMismatch(f"{where}: {len(given)} bytes of data, not {len(wanted)}")
    start = 0
    for end, name in shape.data:
        one, other = given[start:end], wanted[start:end]
        if one != other:
            raise PaymentMismatch(f"{where}: the {name} is {_shown(name, one)}, not {_shown(name, other)}")
        start = end
    if given != wanted:  # should the layouts above ever fall short of the data
        raise PaymentMismatch(f"{where}: the data differs after byte {start}")


def _shown(name: str, piece: bytes) -> str:
    return str(int.from_bytes(piece, "little")) if name in _NUMBERS else piece.hex()


def _within(given: bytes, bound: bytes, shape: _Shape, where: str) -> int:
    """The number that the instruction sets; `bound` is the instruction with the most that is allowed."""
    end, name = shape.data[1]
    if len(given) != end or given[:1] != bound[:1]:
        raise PaymentMismatch(f"{where}: the data is {given[:16].hex()}; it must be {end} bytes that set the {name}")
    value, most = int.from_bytes(given[1:], "little"), int.from_bytes(bound[1:], "little")
    if value > most:
        raise PaymentMismatch(f"{where}: the {name} is {value}; at most {most}")
    if shape is _LIMIT and value == 0:
        raise PaymentMismatch(f"{where}: the {name} is 0; nothing can run")
    return value


def _same_keys(message: Message | MessageV0, wanted: list[Instruction], terms: Terms) -> None:
    """Every account once, with the rights that the instructions need, and none besides."""
    rights = {terms.fee_payer: (True, True)}
    for instruction in wanted:
        rights.setdefault(instruction.program_id, (False, False))
        for meta in instruction.accounts:
            signs, writes = rights.get(meta.pubkey, (False, False))
            rights[meta.pubkey] = (signs or meta.is_signer, writes or meta.is_writable)
    keys, header = message.account_keys, message.header
    signer_count = header.num_required_signatures
    seen: set[Pubkey] = set()
    for index, key in enumerate(keys):
        if key in seen:
            raise PaymentMismatch(f"account {key} stands twice in the transaction")
        seen.add(key)
        signs = index < signer_count
        if key not in rights:
            raise PaymentMismatch(f"{'signer' if signs else 'account'} {key} is no part of this claim")
        last_writable = (
            signer_count - header.num_readonly_signed_accounts
            if signs
            else len(keys) - header.num_readonly_unsigned_accounts
        )
        for right, has, needs in (
            ("a signer", signs, rights[key][0]),
            ("writable", index < last_writable, rights[key][1]),
        ):
            if has != needs:
                raise PaymentMismatch(f"account {key} is {'' if has else 'not '}{right}, against the claim's shape")


def _signed_by(parsed: VersionedTransaction, signers: tuple[Pubkey, ...]) -> frozenset[Pubkey]:
    signed = set()
    for signer, signature, good in zip(signers, parsed.signatures, parsed.verify_with_results(), strict=True):
        if good:
            signed.add(signer)
        elif signature != Signature.default():
            raise PaymentMismatch(f"the signature of {signer} does not verify")
    return frozenset(signed)
