"""Hours for the page: sealed by the core with true roots, in which one viewer took part, with the proof of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

from schemas.bundle import ViewerOpening
from schemas.policy import DEFAULT_POLICY
from schemas.seal import Interval, epoch_key, epoch_tag, viewer_key, viewer_ref
from schemas.sealed import SealedEpoch
from streams.core.proofs import ProvableEpoch
from tests.hours import HOUR_S, PEPPER, sealed_hour, viewers_of

CHANNELS = (("twitch:id:100", "forsen"), ("twitch:id:200", "chess24"), ("twitch:id:300", "a_very_long_channel_name_1"))
NEWEST_S = 1_795_640_400
FIRST_ID = 1007
"""Our viewer is twitch:id:1007, at another place of each hour, so that the hours differ in what was done."""
HOLES_MIN = (0, 0, 3, 0, 0, 17)


@dataclass(frozen=True)
class MadeHour:
    """One allocation of viewer twitch:id:1007."""

    seal_id: int
    sealed: SealedEpoch
    identity: str = f"twitch:id:{FIRST_ID}"

    @property
    def key(self) -> tuple[str, int, int]:
        return self.sealed.header.channel, self.sealed.header.epoch_start_s, self.sealed.header.revision

    @property
    def epoch_start_s(self) -> int:
        return self.sealed.header.epoch_start_s

    @cached_property
    def index(self) -> int:
        return list(self.sealed.body.identities).index(self.identity)

    @property
    def weight_centi(self) -> int:
        return int(self.sealed.body.counts.weight_centi[self.index])

    @property
    def base_units(self) -> int:
        return self.weight_centi * DEFAULT_POLICY.base_units_per_centi

    @property
    def observed_ms(self) -> int:
        return sum(to - start for start, to, kind in self.sealed.coverage if kind != "absent")

    def named(self) -> dict[str, Any]:
        """As a Claim names it."""
        channel, epoch_start_s, revision = self.key
        return {
            "channel": channel,
            "login": self.sealed.login,
            "epoch_start_s": epoch_start_s,
            "revision": revision,
            "base_units": str(self.base_units),
        }

    def allocation(self) -> dict[str, Any]:
        """As docs/claims.md has it, without its state."""
        channel, epoch_start_s, revision = self.key
        return {
            **self.named(),
            "seal_id": self.seal_id,
            "leaf_index": self.index,
            "weight_centi": str(self.weight_centi),
            "display": display(self.base_units),
            "observed_ms": self.observed_ms,
            "absent_ms": HOUR_S * 1000 - self.observed_ms,
            "epoch_length_s": HOUR_S,
            "proof": f"/v1/me/proof?channel={quote(channel, safe='')}&epoch={epoch_start_s}&revision={revision}",
            "evidence": f"/v1/epochs/{quote(channel, safe='')}/{epoch_start_s}?revision={revision}",
        }

    @cached_property
    def _provable(self) -> ProvableEpoch:
        return provable(self.sealed)

    def bundle(self, identity: str) -> bytes:
        """The opened bundle of that viewer: presence or absence."""
        channel, epoch_start_s, _ = self.key
        key = epoch_key(viewer_key(identity, PEPPER), epoch_tag(channel, epoch_start_s))
        opening = ViewerOpening(identity=identity, epoch_key=key.hex())
        return self._provable.prove_json(viewer_ref(identity, key), opening)


def provable(sealed: SealedEpoch) -> ProvableEpoch:
    """Ready to prove any ref of it."""
    return ProvableEpoch(sealed.header.encode(), sealed.policy, sealed.preimages())


def made_hours(
    count: int = 24, channels: Sequence[tuple[str, str]] = CHANNELS, apart_s: int = 86_400 * 5
) -> list[MadeHour]:
    """Newest first, evenings, some with holes in what was observed."""
    found = []
    for n in range(count):
        channel, login = channels[(n * n + n // 3) % len(channels)]
        start_s = NEWEST_S - (n * apart_s) // HOUR_S * HOUR_S + (n * 7 % 4) * HOUR_S - 4 * HOUR_S
        hole_ms = HOLES_MIN[n % len(HOLES_MIN)] * 60_000
        start_ms, end_ms = start_s * 1000, (start_s + HOUR_S) * 1000
        coverage: list[Interval] = [(start_ms, end_ms - hole_ms, "live")]
        if hole_ms:
            coverage.append((end_ms - hole_ms, end_ms, "absent"))
        sealed = sealed_hour(
            viewers_of(12 + n, FIRST_ID - n % 9), channel=channel, login=login, epoch_start_s=start_s, coverage=coverage
        )
        found.append(MadeHour(1000 - n, sealed))
    return found


def display(base_units: int) -> str:
    """Whole tokens, without trailing zeros."""
    whole, part = divmod(base_units, 10**9)
    return f"{whole}.{part:09d}".rstrip("0").rstrip(".") if part else str(whole)
