-- What a viewer has earned and what became of it. Role twzrd_web, connections that can only read.

-- What a viewer's page depends on, for many viewers at once. Rows of viewer_epochs are only ever added (a ruling keeps
-- the seal that was known); a rebuild puts other tables in their place, whose oid differs. Of claims the number, and
-- how many are confirmed, which none ceases to be.
-- name: versions
select v.viewer_key, e.seals, e.newest, l.claims, l.confirmed, g.tables, g.stops
  from unnest($1::bigint[]) as v(viewer_key)
 cross join lateral (
       select count(*) as seals, coalesce(max(seal_id), 0) as newest
         from viewer_epochs where viewer_key = v.viewer_key) e
 cross join lateral (
       select count(*) as claims, count(*) filter (where state = 'confirmed') as confirmed
         from claims.claims where viewer_key = v.viewer_key) l
 cross join (
       select ('viewer_epochs'::regclass::oid::bigint << 32) + 'sealed_epochs'::regclass::oid::bigint as tables,
              (select coalesce(sum(hashtextextended(channel, 0)), 0)::text from stopped_channels) as stops) g;

-- name: page
select a.seal_id, a.channel, a.channel_login as login, a.epoch_start_s, a.revision, a.leaf_index, a.weight_centi,
       a.amount_base_units, e.observed_ms, e.absent_ms, e.epoch_length_s, s.channel is not null as stopped,
       l.claim_id, c.state as claim_state
  from claimable_allocations a
  join sealed_epochs e on e.seal_id = a.seal_id
  left join claims.claim_allocations l on l.viewer_key = a.viewer_key and l.channel = a.channel
       and l.epoch_start_s = a.epoch_start_s and l.revision = a.revision
  left join claims.claims c on c.claim_id = l.claim_id
  left join stopped_channels s on s.channel = a.channel
 where a.viewer_key = $1 and a.seal_id < $2
 order by a.seal_id desc limit $3;

-- Weeks begin on Monday, UTC: the epoch of 1970 was a Thursday, 4 days later is the first of them. An hour that has
-- several revisions counts once, with what was observed of it at last.
-- name: weeks
with hours as (
    select a.channel, a.epoch_start_s, sum(a.amount_base_units) as base_units, max(e.observed_ms) as observed_ms
      from claimable_allocations a join sealed_epochs e on e.seal_id = a.seal_id
     where a.viewer_key = $1 and a.epoch_start_s >= $2
     group by a.channel, a.epoch_start_s)
select (epoch_start_s - 345600) / 604800 * 604800 + 345600 as week_start_s, sum(base_units) as base_units,
       count(*) as hours, sum(observed_ms)::bigint as observed_ms
  from hours group by 1 order by 1;

-- One hour of each asked (viewer, channel, epoch), over all its revisions. A channel by its identity or its login; of
-- several that bore the login, the one sealed last.
-- name: hours
with wanted as materialized (
    select w.viewer_key, w.name, w.epoch_start_s,
           case when w.name like 'twitch:%' then w.name
                else (select c.channel from channels c where c.login = w.name
                       order by c.last_epoch_s desc, c.channel limit 1) end as channel
      from unnest($1::bigint[], $2::text[], $3::bigint[]) as w(viewer_key, name, epoch_start_s))
select w.viewer_key, w.name, w.epoch_start_s, sum(v.increase_base_units)::text as base_units,
       coalesce(sum(v.increase_base_units) filter (where l.claim_id is not null), 0)::text as taken_base_units,
       coalesce(bool_or(s.channel is not null), false) as stopped
  from wanted w
  join sealed_epochs e on e.channel = w.channel and e.epoch_start_s = w.epoch_start_s
  join viewer_epochs v on v.viewer_key = w.viewer_key and v.seal_id = e.seal_id and v.increase_base_units > 0
  left join claims.claim_allocations l on l.viewer_key = w.viewer_key and l.channel = e.channel
       and l.epoch_start_s = e.epoch_start_s and l.revision = e.revision
  left join stopped_channels s on s.channel = w.channel
 group by w.viewer_key, w.name, w.epoch_start_s;

-- The same hour by its allocations.
-- name: hour
select a.channel, a.channel_login as login, a.revision, l.claim_id, c.state
  from claimable_allocations a
  left join claims.claim_allocations l on l.viewer_key = a.viewer_key and l.channel = a.channel
       and l.epoch_start_s = a.epoch_start_s and l.revision = a.revision
  left join claims.claims c on c.claim_id = l.claim_id
 where a.viewer_key = $1 and a.epoch_start_s = $3
   and a.channel = case when $2::text like 'twitch:%' then $2
                        else (select n.channel from channels n where n.login = $2
                               order by n.last_epoch_s desc, n.channel limit 1) end
 order by a.revision;

-- What all viewers have whose wallet in force this is: sums only.
-- name: wallet_totals
with bound as (
    select u.viewer_key
      from (select distinct viewer_key from claims.user_wallets where wallet = $1) u
     cross join lateral (
           select wallet from claims.user_wallets
            where viewer_key = u.viewer_key and effective_at <= now() order by binding_id desc limit 1) f
     where f.wallet = $1),
entitled as (
    select coalesce(sum(v.increase_base_units), 0) as base_units from viewer_epochs v join bound using (viewer_key)),
ledger as (
    select coalesce(sum(a.amount_base_units) filter (where c.state = 'confirmed'), 0) as claimed,
           coalesce(sum(a.amount_base_units) filter (where c.state <> 'confirmed'), 0) as pending
      from claims.claim_allocations a join claims.claims c using (claim_id)
     where a.viewer_key in (select viewer_key from bound)),
free as (
    select coalesce(sum(a.amount_base_units), 0) as base_units
      from claimable_allocations a join bound using (viewer_key)
     where not exists (select 1 from claims.claim_allocations c
                        where c.viewer_key = a.viewer_key and c.channel = a.channel
                          and c.epoch_start_s = a.epoch_start_s and c.revision = a.revision)
       and not exists (select 1 from stopped_channels s where s.channel = a.channel))
select entitled.base_units as entitled_base_units, ledger.claimed as claimed_base_units,
       ledger.pending as pending_base_units, free.base_units as claimable_base_units
  from entitled, ledger, free;

-- name: stats
select c.channels, e.epochs, e.participations, e.weight_centi::text, e.newest_epoch_start_s, l.claims,
       l.claimed_base_units::text, l.pending_base_units::text
  from (select count(*) as channels from channels) c,
       (select count(distinct (channel, epoch_start_s)) as epochs, coalesce(sum(leaf_count), 0)::bigint as participations,
               coalesce(sum(total_weight_centi), 0) as weight_centi, max(epoch_start_s) as newest_epoch_start_s
          from sealed_epochs e
         where not exists (select 1 from sealed_epochs later
                            where later.channel = e.channel and later.epoch_start_s = e.epoch_start_s
                              and later.revision > e.revision)) e,
       (select count(*) filter (where state = 'confirmed') as claims,
               coalesce(sum(amount_base_units) filter (where state = 'confirmed'), 0) as claimed_base_units,
               coalesce(sum(amount_base_units) filter (where state <> 'confirmed'), 0) as pending_base_units
          from claims.claims) l;

-- Whose wallet in force this is, and the claim that an action began and nobody signed yet.
-- name: viewers_of_wallet
select u.viewer_key, c.claim_id, c.amount_base_units
  from (select distinct viewer_key from claims.user_wallets where wallet = $1) u
 cross join lateral (
       select wallet from claims.user_wallets
        where viewer_key = u.viewer_key and effective_at <= now() order by binding_id desc limit 1) f
  left join lateral (
       select claim_id, amount_base_units from claims.claims
        where viewer_key = u.viewer_key and wallet = $1 and fee = 'action' and state in ('reserved', 'signed')
        order by claim_id limit 1) c on true
 where f.wallet = $1
 order by u.viewer_key limit 16;
