"""What the payer counts. docs/claims.md, What the operator sees, says what each number means and what to do."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

EVENTS: Final = (
    "reserved",  # taken from the ledger to be signed
    "signed",  # stored as an attempt
    "sent",  # given to the nodes for the first time
    "resends",  # the same bytes again
    "confirmed",
    "confirmed_late",  # paid by an attempt that had been given up, or by an action
    "expired",
    "failed",  # landed with an error
    "held",
    "postponed",  # asked for again later
    "signer_behind",  # the signer still counts as alive what we gave up
    "unknown_looks",  # too few nodes answered
    "mismatches",  # the signer's answer was not the claim's payment
    "faults",  # a loop was thrown back by the database, the chain or the signer
    "rent_returned",
)
LAG_S: Final = (0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 900, 3600)


class PayerMetrics:
    """One process's. registry: where they are shown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter("twzrd_payer_claims", "Claims by what happened to them", ["what"], registry=registry)
        for what in EVENTS:
            self._events.labels(what)
        self.lag_s = Histogram(
            "twzrd_payer_lag_seconds", "From reservation to confirmation", buckets=LAG_S, registry=registry
        )
        self.waiting = Gauge("twzrd_payer_waiting", "Claims not confirmed, by state", ["state"], registry=registry)
        self.oldest_s = Gauge("twzrd_payer_oldest_seconds", "Age of the oldest claim", ["state"], registry=registry)
        self.frozen = Gauge("twzrd_payer_frozen", "1 while the signer refuses because of the switch", registry=registry)

    def count(self, what: str, amount: int = 1) -> None:
        """what: one of EVENTS."""
        if what not in EVENTS:
            raise ValueError(f"{what!r} is not counted; {', '.join(EVENTS)} are")
        self._events.labels(what).inc(amount)

    def value(self, what: str) -> int:
        """How many so far."""
        return int(self._events.labels(what)._value.get())
