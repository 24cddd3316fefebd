"""What is there before anything happens: a database emptied of the last history, a chain with a mint, viewers with
wallets, sealed hours.

The database's clock is a function of the schema `skewed`, before the real one in every role's path, so that a history
may have it a day ahead or behind.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import asyncpg
from prometheus_client import CollectorRegistry
from solders.keypair import Keypair
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from projections.metrics import ProjectionMetrics
from projections.runner import ProjectionRunner, connector
from projections.sealed import SealedProjection
from schemas.sealed import SealedEpoch
from streams.chain import mint, signing
from tests.claims_parts import bound_message
from tests.integration.claims.histories.acts import HOURS, VIEWERS
from tests.integration.claims.histories.cluster import Cluster
from tests.seals import T0_S, SaidLog, seal_of, viewers

ROLES: Final = ("twzrd_web", "twzrd_payer", "twzrd_signer")
SKEW: Final = """
create schema skewed;
create table skewed.clock (offset_s integer not null);
insert into skewed.clock values (0);
create function skewed.clock_timestamp() returns timestamptz language sql volatile
  as $$ select pg_catalog.clock_timestamp() + make_interval(secs => (select offset_s from skewed.clock)) $$;
create function skewed.now() returns timestamptz language sql stable
  as $$ select pg_catalog.now() + make_interval(secs => (select offset_s from skewed.clock)) $$;
grant usage on schema skewed to public;
grant select on skewed.clock to public;
"""
DEFAULTS: Final = """
select table_name as table, column_name as column,
       regexp_replace(column_default, '(now|clock_timestamp)\\(\\)', 'skewed.\\1()') as made
  from information_schema.columns
 where table_schema = 'claims' and column_default ~ '(now|clock_timestamp)\\(\\)' and table_name <> 'switches'"""
EMPTY: Final = """
update skewed.clock set offset_s = 0;
update claims.switches set frozen = false, frozen_because = null, daily_cap_base_units = null;
truncate claims.twitch_users, claims.sessions, claims.user_wallets, claims.claims, claims.claim_allocations,
         claims.attempts, claims.signer_claims, claims.signer_allocations, claims.signer_attempts, claims.signer_days,
         claims.audit_log
         restart identity;
"""


@dataclass
class Setting:
    """base: Twitch id of viewer 0, another one in every history of a database; signed: every message that the
    authority's key signed, and the slot at that time; wallets: by viewer, the newest last; hours: begin and newest
    revision of each."""

    dsn: str
    owner: Any
    folder: Path
    cluster: Cluster
    log: SaidLog
    base: int
    authority: Keypair = field(default_factory=Keypair)
    fee_payer: Keypair = field(default_factory=Keypair)
    mint_key: Keypair = field(default_factory=Keypair)
    signed: dict[bytes, int] = field(default_factory=dict)
    wallets: dict[int, list[Keypair]] = field(default_factory=dict)
    hours: list[tuple[int, int]] = field(default_factory=list)

    @property
    def mint(self) -> Pubkey:
        return self.mint_key.pubkey()

    def viewers(self) -> range:
        """Their Twitch ids."""
        return range(self.base, self.base + VIEWERS)

    async def prepare(self) -> None:
        """Viewers, wallets, hours, mint."""
        await self.owner.execute(EMPTY)
        for viewer in range(VIEWERS):
            await self.bind(viewer)
        await self.seal_hours(HOURS)
        self._make_mint()

    async def seal_hours(self, count: int) -> None:
        """More hours in which everybody took part; later than any of an earlier history."""
        made: list[SealedEpoch] = []
        for _ in range(count):
            start_s = int(await self.owner.fetchval(_NEXT_HOUR, T0_S)) + 3600 * len(made)
            made.append(seal_of(viewers(*self.viewers()), epoch_start_s=start_s))
            self.hours.append((start_s, 0))
        await self._seal(*made)

    async def revise(self, hour: int) -> None:
        """Everybody said more in that hour."""
        start_s, revision = self.hours[hour]
        self.hours[hour] = start_s, revision + 1
        said = [2 + revision] * VIEWERS
        await self._seal(
            seal_of(viewers(*self.viewers()), epoch_start_s=start_s, revision=revision + 1, messages=said, salt=1)
        )

    async def bind(self, viewer: int) -> None:
        """A wallet by its owner's signature; the second one waits. It has lamports for fees."""
        wallet, key = Keypair(), self.base + viewer
        message, signature = bound_message(wallet, key)
        await self.owner.execute(
            "insert into claims.twitch_users (viewer_key, login, display_name) values ($1, $2, $2) "
            "on conflict do nothing",
            key,
            f"n{key}",
        )
        await self.owner.fetchval(
            "select claims.bind_wallet($1, $2, $3, $4, 'siws')", key, str(wallet.pubkey()), message, signature
        )
        self.wallets.setdefault(viewer, []).append(wallet)
        self._fund(wallet.pubkey(), 10**9)

    async def _seal(self, *seals: Any) -> None:
        await self.log.say(*seals)
        metrics = ProjectionMetrics(CollectorRegistry())
        await ProjectionRunner(self.log, SealedProjection(metrics), connector(self.dsn), metrics).catch_up()

    def _fund(self, to: Pubkey, lamports: int) -> None:
        chain = self.cluster.chain
        if not self.cluster.down:
            assert chain.land(chain.airdrop(to, lamports)) is not None

    def _make_mint(self) -> None:
        chain = self.cluster.chain
        for key in (self.fee_payer, self.authority):
            self._fund(key.pubkey(), 100 * 10**9)
        names = mint.TokenNames("CHAT", "CHAT")
        rent = chain.bank.rent_lamports(mint.final_bytes(names))
        making = mint.create_mint(self.fee_payer.pubkey(), self.mint, self.authority.pubkey(), names, rent)
        message = Message.new_with_blockhash(making, self.fee_payer.pubkey(), chain.blockhashes.of(chain.slot))
        signed = signing.sign(signing.unsigned(message), self.fee_payer, self.authority, self.mint_key)
        landed = chain.land(VersionedTransaction.from_bytes(signed))
        assert landed is not None and landed.outcome.err is None
        chain.advance(4)


_NEXT_HOUR: Final = "select coalesce(max(epoch_start_s) + 3600, $1) from sealed_epochs"


async def skew(dsn: str) -> None:
    """Once, in the template: the clock that a history may move."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(SKEW)
    body = await connection.fetchval("select pg_get_viewdef('claims.wallets_in_force'::regclass)")
    assert "now()" in body
    await connection.execute(
        f"create or replace view claims.wallets_in_force as {body.replace('now()', 'skewed.now()')}"
    )
    for row in await connection.fetch(DEFAULTS):
        await connection.execute(
            f"alter table claims.{row['table']} alter column {row['column']} set default {row['made']}"
        )
    name = await connection.fetchval("select current_database()")
    for role in ROLES:
        await connection.execute(f"alter role {role} in database {name} set search_path = skewed, pg_catalog, public")
    await connection.close()
