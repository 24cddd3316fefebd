"""What a method has to work with: the chain, the faults, and readers of its parameters."""

import base64
import binascii
from dataclasses import dataclass
from typing import Any, Final

from solders.pubkey import Pubkey
from solders.signature import Signature

from infra.localnet.chain import Chain
from infra.localnet.errors import MIN_CONTEXT_SLOT, RpcError, invalid_params
from infra.localnet.faults import Faults

API_VERSION: Final = "3.0.0"
"""What clients are told that this node speaks."""
COMMITMENTS: Final = ("processed", "confirmed", "finalized")

Params = list[Any]


@dataclass(frozen=True, slots=True)
class Context:
    """One node's."""

    chain: Chain
    faults: Faults

    @property
    def tip(self) -> int:
        """The newest slot that this node knows of."""
        return max(0, self.chain.slot - self.faults.lag_slots)

    def slot_of(self, commitment: str) -> int:
        """The newest slot of that commitment."""
        finality = self.chain.options.finality_slots
        behind = {"processed": 0, "confirmed": min(1, finality), "finalized": finality}[commitment]
        return max(0, self.tip - behind)

    def view(self, config: dict[str, Any], least: str = "processed") -> int:
        """The slot that a request looks at: its commitment (finalized by default), no older than minContextSlot.

        Raises RpcError.
        """
        slot = self.slot_of(commitment_of(config, least))
        wanted = config.get("minContextSlot")
        if wanted is not None:
            if type(wanted) is not int or wanted < 0:
                raise invalid_params(f"Invalid params: minContextSlot {wanted!r} is no slot")
            if slot < wanted:
                raise RpcError(MIN_CONTEXT_SLOT, "Minimum context slot has not been reached", {"contextSlot": slot})
        return slot

    def commitment_status(self, slot: int) -> str:
        """How far a transaction of that slot has come."""
        return next(one for one in reversed(COMMITMENTS) if slot <= self.slot_of(one))


def commitment_of(config: dict[str, Any], least: str = "processed", key: str = "commitment") -> str:
    """The commitment a request names. Raises RpcError for an unknown one or one below `least`."""
    commitment = config.get(key) or "finalized"
    if commitment not in COMMITMENTS:
        raise invalid_params(
            f"Invalid params: unknown variant `{commitment}`, expected one of {', '.join(COMMITMENTS)}"
        )
    if COMMITMENTS.index(commitment) < COMMITMENTS.index(least):
        raise invalid_params(f"Method does not support commitment below `{least}`")
    return str(commitment)


def with_context(slot: int, value: Any) -> dict[str, Any]:
    """An answer that says which slot it is of."""
    return {"context": {"apiVersion": API_VERSION, "slot": slot}, "value": value}


def config_at(params: Params, index: int) -> dict[str, Any]:
    """The configuration object at that place; empty where there is none. Raises RpcError."""
    config = params[index] if len(params) > index else None
    if config is None:
        return {}
    if not isinstance(config, dict):
        raise invalid_params(f"Invalid params: parameter {index + 1} must be an object")
    return config


def text_at(params: Params, index: int, what: str) -> str:
    """Raises RpcError."""
    if len(params) <= index or not isinstance(params[index], str):
        raise invalid_params(f"Invalid params: parameter {index + 1} must be {what}")
    return str(params[index])


def whole_at(params: Params, index: int, what: str) -> int:
    """A number from 0 to 2^64 - 1. Raises RpcError."""
    value = params[index] if len(params) > index else None
    if type(value) is not int or not 0 <= value < 2**64:
        raise invalid_params(f"Invalid params: parameter {index + 1} must be {what}")
    return value


def list_at(params: Params, index: int, what: str, most: int) -> list[Any]:
    """Raises RpcError."""
    value = params[index] if len(params) > index else None
    if not isinstance(value, list):
        raise invalid_params(f"Invalid params: parameter {index + 1} must be a list of {what}")
    if len(value) > most:
        raise invalid_params(f"Too many inputs provided; max {most}")
    return value


def address_at(params: Params, index: int) -> Pubkey:
    """Raises RpcError."""
    return address(text_at(params, index, "an address"))


def address(text: Any) -> Pubkey:
    """Raises RpcError."""
    try:
        return Pubkey.from_string(text)
    except (ValueError, TypeError):
        raise invalid_params(f"Invalid param: {text!r} is no address") from None


def signature(text: Any) -> str:
    """Raises RpcError."""
    try:
        return str(Signature.from_string(text))
    except (ValueError, TypeError):
        raise invalid_params(f"Invalid param: {text!r} is no signature") from None


def from_base64(text: str) -> bytes:
    """Raises RpcError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise invalid_params(f"invalid base64 encoding: {error}") from None
