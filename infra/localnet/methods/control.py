"""Methods that no real node has: faults, and slots by hand. Only where the cluster was started with --faults."""

from typing import Any

from infra.localnet.errors import invalid_params
from infra.localnet.faults import Fault
from infra.localnet.methods.context import Context, Params, config_at, text_at, whole_at


def set_fault(context: Context, params: Params) -> Any:
    """[method, {kind, rate, …}], or [method, null] to end it; what is set now."""
    method, config = text_at(params, 0, "a method or *"), config_at(params, 1)
    try:
        fault = Fault(**config) if config else None
    except TypeError as error:
        raise invalid_params(f"Invalid params: {error}") from None
    context.faults.set(method, fault)
    return context.faults.shown()


def set_lag(context: Context, params: Params) -> Any:
    """[slots]: the node shows the chain as it was so many slots ago."""
    context.faults.lag(whole_at(params, 0, "a number of slots"))
    return context.faults.shown()


def set_frozen(context: Context, params: Params) -> Any:
    """[true] stops the chain, [false] lets it go on."""
    if params == [True]:
        context.chain.freeze()
    elif params == [False]:
        context.chain.thaw()
    else:
        raise invalid_params("Invalid params: parameter 1 must be true or false")
    return context.chain.slot


def advance(context: Context, params: Params) -> Any:
    """[slots]: so many slots pass at once; the newest."""
    slots = whole_at(params, 0, "a number of slots")
    if not 1 <= slots <= 100_000:
        raise invalid_params(f"Invalid params: {slots} slots; it may be 1 to 100000")
    context.chain.advance(slots)
    return context.chain.slot


def counters(context: Context, params: Params) -> Any:
    """What the cluster counted."""
    return context.chain.counters.shown()


METHODS = {
    "twzrd_setFault": set_fault,
    "twzrd_setLag": set_lag,
    "twzrd_setFrozen": set_frozen,
    "twzrd_advance": advance,
    "twzrd_counters": counters,
}
