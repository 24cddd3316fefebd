"""Policy: what participation weighs, how long an epoch is, who is left out. Fixed form, versioned (spec: Policy)."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Final

import msgspec
import orjson
from blake3 import blake3
from msgspec import Meta

from schemas.errors import SchemaError

MAX_WEIGHT_CENTI: Final = 10**6
PositiveSeconds = Annotated[int, Meta(ge=1, le=31 * 86_400)]
WeightCenti = Annotated[int, Meta(ge=0, le=MAX_WEIGHT_CENTI)]


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Weight in hundredths for one of each; integers only."""

    presence: WeightCenti
    sub: WeightCenti
    resub: WeightCenti
    gift: WeightCenti
    bit: WeightCenti
    raid_viewer: WeightCenti


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """One version of the rules. Seconds; base units per hundredth of weight; logins sorted and lowercase."""

    version: Annotated[int, Meta(ge=1, le=2**32 - 1)]
    epoch_length_s: PositiveSeconds
    grace_s: Annotated[int, Meta(ge=0, le=86_400)]
    horizon_s: PositiveSeconds
    weights_centi: Weights
    base_units_per_centi: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    excluded_logins: tuple[str, ...]

    def __post_init__(self) -> None:
        wanted = tuple(sorted({login.lower() for login in self.excluded_logins}))
        if self.excluded_logins != wanted:
            raise ValueError("excluded_logins must be lowercase, sorted, each once")
        if self.weights_centi.presence < 1:
            raise ValueError("weights_centi.presence must be at least 1, so that every leaf weighs something")

    @cached_property
    def canonical(self) -> bytes:
        """Canonical JSON (RFC 8785): sorted keys, no white space, UTF-8. All values are integers or strings."""
        return orjson.dumps(msgspec.to_builtins(self), option=orjson.OPT_SORT_KEYS)

    @cached_property
    def hash(self) -> bytes:
        """blake3 of the canonical JSON, 32 bytes."""
        return blake3(self.canonical).digest()

    @cached_property
    def excluded(self) -> frozenset[str]:
        """The excluded logins, for look-ups."""
        return frozenset(self.excluded_logins)

    @property
    def epoch_length_ms(self) -> int:
        return self.epoch_length_s * 1000


DEFAULT_POLICY: Final = Policy(
    version=1,
    epoch_length_s=3600,
    grace_s=120,
    horizon_s=21600,
    weights_centi=Weights(presence=100, sub=1000, resub=1000, gift=500, bit=1, raid_viewer=10),
    base_units_per_centi=800_000_000,
    excluded_logins=("fossabot", "moobot", "nightbot", "streamelements", "streamlabs"),
)


def decode_policy(data: bytes | str, name: str = "policy") -> Policy:
    """Strict reading of a policy's JSON; SchemaError names the field that is off."""
    try:
        return msgspec.json.decode(data, type=Policy)
    except (msgspec.DecodeError, ValueError) as error:
        raise SchemaError(f"{name}: {error}; compare with docs/spec.md, section Policy") from error


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a policy file that is a list."""

    effective_from_s: Annotated[int, Meta(ge=0)]
    policy: Policy


class PolicySchedule:
    """Policies by the epoch from which each is in force. All share one epoch length: an epoch's bounds never move."""

    def __init__(self, entries: Sequence[tuple[int, Policy]]) -> None:
        """entries: (effective_from_s, policy), the first from 0. Raises SchemaError on a gap or a changed length."""
        ordered = sorted(entries, key=lambda entry: entry[0])
        if not ordered or ordered[0][0] != 0:
            raise SchemaError("policy schedule has no policy from epoch 0; give the first one effective_from_s 0")
        lengths = {policy.epoch_length_s for _, policy in ordered}
        if len(lengths) != 1:
            raise SchemaError(f"policy schedule mixes epoch lengths {sorted(lengths)}; keep one for all versions")
        starts = [start for start, _ in ordered]
        if len(set(starts)) != len(starts) or any(start % ordered[0][1].epoch_length_s for start in starts):
            raise SchemaError(f"policy schedule's effective_from_s {starts} must differ and lie on epoch starts")
        self._starts = starts
        self._policies = [policy for _, policy in ordered]
        self.epoch_length_s: int = ordered[0][1].epoch_length_s
        self.epoch_length_ms: int = self.epoch_length_s * 1000

    @classmethod
    def of(cls, policy: Policy) -> "PolicySchedule":
        """One policy for all time."""
        return cls([(0, policy)])

    @classmethod
    def decode(cls, data: bytes | str, name: str = "policy file") -> "PolicySchedule":
        """Strict reading of a policy file: one policy for all time, or a list of policies, each from an epoch on, with
        rising versions. SchemaError names what is off."""
        text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
        if not text.lstrip().startswith("["):
            return cls.of(decode_policy(data, name))
        try:
            entries = msgspec.json.decode(data, type=list[_Entry])
            schedule = cls([(entry.effective_from_s, entry.policy) for entry in entries])
        except (msgspec.DecodeError, ValueError, SchemaError) as error:
            raise SchemaError(f"{name}: {error}; compare with docs/spec.md, section Policy") from error
        versions = [policy.version for policy in schedule._policies]
        if sorted(set(versions)) != versions:
            raise SchemaError(f"{name}: versions {versions} must rise from each policy to the next; number them anew")
        return schedule

    def at(self, epoch_start_s: int) -> Policy:
        """The policy in force in the epoch that starts then."""
        return self._policies[bisect_right(self._starts, epoch_start_s) - 1]
