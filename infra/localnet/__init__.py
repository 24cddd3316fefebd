"""A Solana cluster of one on this machine: LiteSVM behind JSON-RPC, for development and tests; never for real money.

slots      time cut into slots; the clock may be the machine's or a test's hand
bank       runs transactions, keeps accounts as they were at each commitment, and blockhashes
journal    every transaction that landed, on disk, to be run again after a restart
ledger     what landed, by signature and by address
chain      the three together: what a validator is
faults     what goes wrong on purpose
methods/   JSON-RPC methods
server     HTTP, and PubSub on the next port
"""

from infra.localnet.faults import Fault, Faults
from infra.localnet.options import LocalnetOptions
from infra.localnet.server import Localnet

__all__ = ["Fault", "Faults", "Localnet", "LocalnetOptions"]
