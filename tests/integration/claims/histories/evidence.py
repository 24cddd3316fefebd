"""What is to be seen at the end of a history: the ledger and the signer's books as rows, and the chain itself, read
from its bank and not through a node.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from claim_api.ledger.read import totals_of_viewer
from claim_api.ledger.rows import Totals
from tests.claims_parts import held_base_units
from tests.integration.claims.histories.acts import LIFE_SLOTS, History
from tests.integration.claims.histories.setting import Setting
from tests.integration.claims.histories.stage import Stage

SUPPLY_AT: Final = 36
CLAIMS: Final = """
select c.*, (select sum(amount_base_units) from claims.claim_allocations a where a.claim_id = c.claim_id) as allocated
  from claims.claims c order by claim_id"""
ALLOCATIONS: Final = "select viewer_key, channel, epoch_start_s, revision, claim_id from claims.claim_allocations"
BOOKED: Final = "select claim_id, attempt, message from claims.signer_attempts order by claim_id, attempt"
DAYS_APART: Final = """
select day from (select day, sum(amount_base_units) as base_units from claims.signer_claims group by day) c
  full join claims.signer_days d using (day) where c.base_units is distinct from d.base_units"""
GIVEN_UP: Final = """
select substr(subject, 7)::bigint as claim_id, (detail ->> 'attempt')::integer as attempt
  from claims.audit_log where action = 'expired attempt'"""


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction that succeeded and gave tokens of the mint. gained: by owner's address, base units."""

    signature: str
    slot: int
    message: bytes
    gained: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Signed:
    """A message as the key signed it. slot: of the chain at that time; last_slot: the last one in which it can land."""

    claim_id: int
    attempt: int
    message: bytes
    slot: int | None
    last_slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it. Amounts in base units; wallets and balances by address; failed: messages that landed with an error."""

    history: History
    starting_supply: int
    supply: int
    claims: Sequence[Mapping[str, Any]]
    allocations: Sequence[tuple[tuple[int, str, int, int], int]]
    totals: Mapping[int, Totals]
    balances: Mapping[str, int]
    landed: Sequence[Landed]
    failed: frozenset[bytes]
    booked: Sequence[Signed]
    given_up: Sequence[tuple[int, int]]
    days_apart: Sequence[Any] = ()
    signed_while_frozen: int = 0
    over_cap: Sequence[str] = ()
    lies: int = 0
    figures: Counter[str] = field(default_factory=Counter)


async def evidence_of(stage: Stage, starting_supply: int) -> Evidence:
    """Of a history that has settled."""
    setting, owner = stage.setting, stage.setting.owner
    wallets = [one.pubkey() for several in setting.wallets.values() for one in several]
    return Evidence(
        history=stage.history,
        starting_supply=starting_supply,
        supply=supply(setting),
        claims=[dict(row) for row in await owner.fetch(CLAIMS)],
        allocations=[
            ((row["viewer_key"], row["channel"], row["epoch_start_s"], row["revision"]), row["claim_id"])
            for row in await owner.fetch(ALLOCATIONS)
        ],
        totals={viewer: await totals_of_viewer(owner, viewer) for viewer in setting.viewers()},
        balances={str(one): held_base_units(setting.cluster.chain, one, setting.mint) for one in wallets},
        landed=_landed(setting),
        failed=_failed(setting),
        booked=_booked(setting, await owner.fetch(BOOKED)),
        given_up=[(row["claim_id"], row["attempt"]) for row in await owner.fetch(GIVEN_UP)],
        days_apart=[row["day"] for row in await owner.fetch(DAYS_APART)],
        signed_while_frozen=stage.operator.signed_while_frozen,
        over_cap=stage.operator.over_cap,
        lies=stage.lies,
        figures=stage.figures,
    )


def supply(setting: Setting) -> int:
    """Of the mint, at the newest slot."""
    chain = setting.cluster.chain
    account = chain.bank.account(setting.mint, chain.slot)
    assert account is not None
    return int.from_bytes(bytes(account.data)[SUPPLY_AT : SUPPLY_AT + 8], "little")


def _landed(setting: Setting) -> list[Landed]:
    chain, found = setting.cluster.chain, []
    for entry in reversed(chain.ledger.of_address(setting.mint, chain.slot)):
        gained: Counter[str] = Counter()
        if entry.outcome.err is None:
            for one in entry.outcome.post_tokens:
                gained[str(one.owner)] += one.amount if one.mint == setting.mint else 0
            for one in entry.outcome.pre_tokens:
                gained[str(one.owner)] -= one.amount if one.mint == setting.mint else 0
        if any(gained.values()):
            found.append(Landed(entry.signature, entry.slot, bytes(entry.transaction.message), gained))
    return found


def _failed(setting: Setting) -> frozenset[bytes]:
    chain = setting.cluster.chain
    entries = chain.ledger.of_address(setting.mint, chain.slot)
    return frozenset(bytes(one.transaction.message) for one in entries if one.outcome.err is not None)


def _booked(setting: Setting, rows: Sequence[Any]) -> list[Signed]:
    chain = setting.cluster.chain
    slots = {bytes(chain.blockhashes.of(slot)): slot for slot in range(chain.slot + 1)}
    found = []
    for row in rows:
        message = bytes(row["message"])
        made = next((slot for blockhash, slot in slots.items() if blockhash in message), 0)
        found.append(Signed(row["claim_id"], row["attempt"], message, setting.signed.get(message), made + LIFE_SLOTS))
    return found
