"""A local Twitch: TLS, its IRC dialect, chat from a simulation or a file, and its misbehaviours on command.

    feed -> blocks -> stage -> sessions -> outlet -> wire (TLS)      and what was said -> ledger, recent messages

For tests, benchmarks and newcomers without network. `server` composes it; `misbehaviour` is the control API.
"""

from streams.collect.twitch_sim.faults import parse_faults
from streams.collect.twitch_sim.feed import PreparedFeed, RecordedFeed, SimulatedFeed
from streams.collect.twitch_sim.ledger import NOBODY, Sent, SentLedger, read_ledger
from streams.collect.twitch_sim.server import SimOptions, TwitchSim
from streams.collect.twitch_sim.session import Session
from streams.collect.twitch_sim.stage import Pace

__all__ = [
    "NOBODY",
    "Pace",
    "PreparedFeed",
    "RecordedFeed",
    "Sent",
    "SentLedger",
    "Session",
    "SimOptions",
    "SimulatedFeed",
    "TwitchSim",
    "parse_faults",
    "read_ledger",
]
