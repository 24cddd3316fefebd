"""JSON-RPC methods by name; each takes the context and the list of parameters, and returns what goes into `result`."""

from collections.abc import Callable, Mapping
from typing import Any

from infra.localnet.methods import accounts, cluster, control, history, sending
from infra.localnet.methods.context import Context, Params

Method = Callable[[Context, Params], Any]

READING: Mapping[str, Method] = {**cluster.METHODS, **accounts.METHODS, **history.METHODS}
"""They answer at once."""
SENDING = sending.METHODS
"""Coroutines: they wait for the journal."""
CONTROL: Mapping[str, Method] = control.METHODS
