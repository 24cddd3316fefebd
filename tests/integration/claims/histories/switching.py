"""Who freezes, caps and retries, and keeps count of what was signed for against it."""

from dataclasses import dataclass, field
from typing import Any, Final

from claim_api.ledger import operate

HOUR_BASE_UNITS: Final = 8_000_000_000


@dataclass
class Operator:
    """owner: a connection of the database's owner."""

    owner: Any
    signed_while_frozen: int = 0
    over_cap: list[str] = field(default_factory=list)
    _attempts_when_frozen: int | None = None
    _cap: int | None = None
    _had: dict[Any, int] = field(default_factory=dict)

    async def freeze(self) -> None:
        """Nothing may be signed for from here on."""
        await operate.freeze(self.owner, "the history says so")
        self._attempts_when_frozen = await self._attempts()

    async def unfreeze(self) -> None:
        """What was signed for meanwhile is counted."""
        if self._attempts_when_frozen is not None:
            self.signed_while_frozen += await self._attempts() - self._attempts_when_frozen
            self._attempts_when_frozen = None
        await operate.freeze(self.owner, None)

    async def set_cap(self, base_units: int | None) -> None:
        """Days that went over the cap before are noted."""
        if self._cap is not None:
            for day, signed in (await self._by_day()).items():
                most = max(self._cap, self._had.get(day, 0))
                if signed > most:
                    self.over_cap.append(f"{signed} base units are signed for on {day}, {most} may be")
        await operate.set_cap(self.owner, base_units)
        self._cap, self._had = base_units, await self._by_day()

    async def retry_held(self) -> None:
        """Every claim that is held."""
        for row in await self.owner.fetch("select claim_id from claims.claims where state = 'held'"):
            await operate.retry(self.owner, row["claim_id"], "the history says so", "server")

    async def _attempts(self) -> int:
        return int(await self.owner.fetchval("select count(*) from claims.signer_attempts"))

    async def _by_day(self) -> dict[Any, int]:
        rows = await self.owner.fetch(
            "select day, sum(amount_base_units)::bigint as sum from claims.signer_claims group by day"
        )
        return {row["day"]: row["sum"] for row in rows}
