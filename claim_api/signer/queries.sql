-- Every statement of the signer, role twzrd_signer. What it signs for stands in its own tables first.

-- One signer writes its books at a time, and a switch is thrown between two of its transactions: commands claims freeze
-- and cap take the same lock.
-- name: lock_books
select pg_advisory_xact_lock(hashtextextended('twzrd signer', 0));

-- name: switches
select frozen, frozen_because, daily_cap_base_units from claims.switches;

-- name: claims
select claim_id, viewer_key, wallet, mint, amount_base_units, fee, state from claims.claims
 where claim_id = any($1::bigint[]);

-- One more than the bound for each claim, so that too many show.
-- name: allocations
select a.claim_id, a.viewer_key, a.channel, a.epoch_start_s, a.revision, a.amount_base_units,
       v.increase_base_units, s.channel is not null as stopped, b.claim_id as signed_for
  from unnest($1::bigint[]) as w(claim_id)
 cross join lateral (select * from claims.claim_allocations where claim_id = w.claim_id
                      order by channel, epoch_start_s, revision limit $2) a
  left join sealed_epochs e on e.channel = a.channel and e.epoch_start_s = a.epoch_start_s and e.revision = a.revision
  left join viewer_epochs v on v.viewer_key = a.viewer_key and v.seal_id = e.seal_id
  left join stopped_channels s on s.channel = a.channel
  left join claims.signer_allocations b on b.viewer_key = a.viewer_key and b.channel = a.channel
        and b.epoch_start_s = a.epoch_start_s and b.revision = a.revision
 order by a.claim_id, a.channel, a.epoch_start_s, a.revision;

-- name: bindings
select viewer_key, wallet, message, signature, form from claims.wallets_in_force where viewer_key = any($1::bigint[]);

-- name: booked_claims
select claim_id, viewer_key, wallet, amount_base_units, marker, marker_seed from claims.signer_claims
 where claim_id = any($1::bigint[]);

-- name: booked_allocations
select claim_id, count(*) as allocations from claims.signer_allocations where claim_id = any($1::bigint[])
 group by claim_id;

-- name: latest_attempts
select distinct on (a.claim_id) a.claim_id, a.attempt, a.blockhash, a.last_valid_block_height, a.message, c.marker,
       c.marker_seed
  from claims.signer_attempts a join claims.signer_claims c using (claim_id)
 where a.claim_id = any($1::bigint[])
 order by a.claim_id, a.attempt desc;

-- name: messages_of
select claim_id, message from claims.signer_attempts where claim_id = any($1::bigint[]);

-- The day of UTC, never earlier than one that was signed in.
-- name: day
select greatest((clock_timestamp() at time zone 'UTC')::date, max(day)) from claims.signer_days;

-- name: signed_on
select coalesce((select base_units from claims.signer_days where day = $1), 0);

-- name: book_claims
with booked as (
    insert into claims.signer_claims (claim_id, viewer_key, wallet, amount_base_units, marker, marker_seed, day)
    select g.*, $7::date
      from unnest($1::bigint[], $2::bigint[], $3::text[], $4::numeric[], $5::text[], $6::text[])
           as g(claim_id, viewer_key, wallet, amount_base_units, marker, marker_seed)
    returning amount_base_units)
insert into claims.signer_days as d (day, base_units)
select $7::date, sum(amount_base_units) from booked
    on conflict (day) do update set base_units = d.base_units + excluded.base_units;

-- name: book_allocations
insert into claims.signer_allocations (viewer_key, channel, epoch_start_s, revision, claim_id)
select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::integer[], $5::bigint[]);

-- name: book_attempts
with booked as (
    insert into claims.signer_attempts (claim_id, attempt, blockhash, last_valid_block_height, message)
    select * from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[], $5::bytea[])
    returning claim_id, attempt)
insert into claims.audit_log (actor, action, subject, detail)
select 'signer', 'sign attempt', 'claim ' || claim_id, jsonb_build_object('attempt', attempt) from booked;

-- name: message_of_attempt
select message from claims.signer_attempts where claim_id = $1 and attempt = $2;

-- name: newest_attempt
select claim_id, attempt, message from claims.signer_attempts order by signed_at desc, claim_id desc, attempt desc limit 1;

-- name: whoami
select current_user::text as role,
       has_table_privilege('claims.claims', 'insert, update, delete')
       or has_table_privilege('claims.switches', 'update') as too_much;

-- The secret of the markers is tried on what was signed for last.
-- name: newest_claim
select c.claim_id, c.viewer_key, c.marker_seed, c.marker from claims.signer_claims c order by c.claim_id desc limit 1;

-- name: allocations_booked
select channel, epoch_start_s, revision from claims.signer_allocations where claim_id = $1;
