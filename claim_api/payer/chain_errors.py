"""What the chain says of a transaction that landed with an error: is it one of time, or will it always be so?

In: the error as JSON text. Source of the words: Solana, sdk/transaction-error, TransactionError and InstructionError.
"""

from typing import Final

import msgspec

OF_TIME: Final = frozenset(
    {
        "AccountInUse",
        "AccountLoadedTwice",
        "AlreadyProcessed",
        "BlockhashNotFound",
        "ClusterMaintenance",
        "CommitCancelled",
        "InsufficientFundsForFee",
        "InsufficientFundsForRent",
        "ProgramCacheHitMaxLimit",
        "ResanitizationNeeded",
        "TooManyAccountLocks",
        "WouldExceedAccountDataBlockLimit",
        "WouldExceedAccountDataTotalLimit",
        "WouldExceedMaxAccountCostLimit",
        "WouldExceedMaxBlockCostLimit",
        "WouldExceedMaxVoteCostLimit",
    }
)
"""Another attempt may fare better. Lamports that are short are of time, too: an operator sends some."""
MARKER_INDEX: Final = 2
"""The marker's instruction in the one shape: what fails there has found the account in use, or the payer poor."""
TOKEN_ACCOUNT_INDEX: Final = 3
"""The wallet's token account: its rent comes from the same payer."""
ACCOUNT_IN_USE: Final = 0
POOR: Final = 1
"""SystemError::AccountAlreadyInUse and ResultWithNegativeLamports."""


def is_of_time(error: str) -> bool:
    """Whether the claim goes on with another attempt."""
    said = _parsed(error)
    if isinstance(said, str):
        return said in OF_TIME
    if isinstance(said, dict) and said:
        name = next(iter(said))
        return name in OF_TIME or _custom(said) in ((MARKER_INDEX, POOR), (TOKEN_ACCOUNT_INDEX, POOR))
    return False


def is_marker_in_use(error: str) -> bool:
    """Whether the marker existed: something created it before."""
    said = _parsed(error)
    return isinstance(said, dict) and _custom(said) == (MARKER_INDEX, ACCOUNT_IN_USE)


def _custom(said: dict[str, object]) -> tuple[int, int] | None:
    match said.get("InstructionError"):
        case [int(index), {"Custom": int(code)}]:
            return index, code
        case _:
            return None


def _parsed(error: str) -> object:
    try:
        return msgspec.json.decode(error)
    except msgspec.DecodeError:
        return error
