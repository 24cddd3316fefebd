"""Errors of the local cluster: ours as TwzrdError, a client's as the JSON-RPC errors of a real node.

Codes: Solana's rpc-client-api, custom_error.rs, and JSON-RPC 2.0.
"""

from typing import Any, Final

from schemas.errors import TwzrdError

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
PREFLIGHT_FAILURE: Final = -32002
SIGNATURE_FAILURE: Final = -32003
NODE_UNHEALTHY: Final = -32005
UNSUPPORTED_VERSION: Final = -32015
MIN_CONTEXT_SLOT: Final = -32016


class LocalnetError(TwzrdError):
    """The local cluster cannot start or go on."""


class RpcError(Exception):
    """What a client gets instead of a result."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data

    def body(self) -> dict[str, Any]:
        """The `error` member of the answer."""
        said: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.data is not None:
            said["data"] = self.data
        return said


def invalid_params(message: str) -> RpcError:
    """-32602."""
    return RpcError(INVALID_PARAMS, message)


SIMPLE: Final = {
    "AccountNotFound": "Attempt to debit an account but found no record of a prior credit.",
    "AlreadyProcessed": "This transaction has already been processed",
    "BlockhashNotFound": "Blockhash not found",
    "InsufficientFundsForFee": "Insufficient funds for fee",
    "InvalidAccountForFee": "This account may not be used to pay transaction fees",
    "ProgramAccountNotFound": "Attempt to load a program that does not exist",
    "SignatureFailure": "Transaction did not pass signature verification",
    "InsufficientFunds": "insufficient funds for instruction",
    "InvalidAccountData": "invalid account data for instruction",
    "InvalidInstructionData": "invalid instruction data",
    "MissingRequiredSignature": "missing required signature for instruction",
    "IncorrectProgramId": "incorrect program id for instruction",
    "IllegalOwner": "Provided owner is not allowed",
    "AccountAlreadyInitialized": "instruction requires an uninitialized account",
    "UninitializedAccount": "instruction requires an initialized account",
    "ProgramFailedToComplete": "Program failed to complete",
    "ComputationalBudgetExceeded": "Computational budget exceeded",
}
"""Solana's words for errors without arguments, those that one meets; the others are shown by their names."""


def in_words(err: Any) -> str:
    """A TransactionError in its JSON form as a node words it."""
    if isinstance(err, str):
        return SIMPLE.get(err, err)
    if isinstance(err, dict) and (inner := err.get("InstructionError")) is not None:
        index, fault = inner
        return f"Error processing Instruction {index}: {_instruction_error(fault)}"
    if isinstance(err, dict) and (rent := err.get("InsufficientFundsForRent")) is not None:
        return f"Transaction results in an account ({rent['account_index']}) with insufficient funds for rent"
    return str(err)


def _instruction_error(fault: Any) -> str:
    if isinstance(fault, dict) and "Custom" in fault:
        return f"custom program error: {fault['Custom']:#x}"
    return SIMPLE.get(fault, fault) if isinstance(fault, str) else str(fault)
