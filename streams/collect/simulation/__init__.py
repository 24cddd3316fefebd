"""Simulated chat: seeded, deterministic, with the shapes of the real thing. One core, two renderings.

`chat` says what happens (columns), `people` and `phrases` who speaks and which words, `lines` writes it as Twitch's
tagged IRC, `envelopes` as a collector would put it onto the log.
"""

from streams.collect.simulation.chat import ChatStep, Simulation
from streams.collect.simulation.envelopes import Envelopes, Simulated
from streams.collect.simulation.lines import LineWriter

__all__ = ["ChatStep", "Envelopes", "LineWriter", "Simulated", "Simulation"]
