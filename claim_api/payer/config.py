"""How the payer goes about it: every interval and bound, with its reason."""

from dataclasses import dataclass, field
from typing import Literal

from solders.pubkey import Pubkey

from claim_api.signer.protocol import MAX_BATCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Times in seconds unless named otherwise."""

    batch: int = MAX_BATCH
    """Claims of one question to the signer: what it has to look up and to sync for one, it has for all of them."""
    lease_s: float = 30.0
    """A claim taken is another payer's after this; a payer that died holds it no longer."""
    poll_s: float = 2.0
    """Longest that a reserved claim waits where its notice got lost."""
    watch_s: float = 0.5
    """Between looks at what is under way."""
    resend_s: float = 2.0
    """The same bytes again, until their fate is known: a leader that is busy forgets what it got."""
    sends_at_once: int = 32
    count_every_s: float = 5.0
    """Between counts of what waits, for Prometheus: each looks at all open claims."""
    late_s: float = 20.0
    """From this age an attempt without a status is looked for in all nodes' histories."""
    look_every_s: float = 2.0
    looks_apart_slots: int = 8
    """Two looks that find an attempt dead are at least so far apart."""
    retry_first_s: float = 1.0
    retry_last_s: float = 60.0
    rent_every_s: float = 600.0
    rent_after_s: float = 86_400.0
    """A marker's rent comes back when its claim has been confirmed for so long: a day."""
    returned_every_s: float = 300.0
    """Between looks at the markers of claims that were given back to their viewers."""
    remembered_claims: int = 100_000
    """Claims of whose retries and looks we know in memory; nothing rests on it but the pace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayerConfig:
    """What every payment must be; the signer has the same by its own settings."""

    mint: Pubkey
    authority: Pubkey
    source: Literal["mint", "treasury"]
    price_micro_lamports: int = 0
    pace: Pace = field(default_factory=Pace)
