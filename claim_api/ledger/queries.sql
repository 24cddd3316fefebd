-- Every statement of the ledger, by name. Which role runs one stands in its section's head. Moves name the state they
-- start from (compare-and-set) and write the audit log in the same statement. All touch claims before attempts, so that
-- two payers do not wait for each other.

-- ==== reserve: role twzrd_web, one transaction ====================================================================

-- name: lock_viewer
select pg_advisory_xact_lock(hashtextextended('twzrd claims of viewer ' || $1::bigint, 0));

-- name: lock_wallet
select pg_advisory_xact_lock(hashtextextended('twzrd claims to wallet ' || $1::text, 0));

-- After the lock, in a statement of its own, so that it sees what the transaction before it left.
-- name: may_reserve
select (select coalesce(frozen_because, 'no reason was noted') from claims.switches where frozen) as frozen_because,
       (select wallet from claims.wallets_in_force where viewer_key = $1) as wallet;

-- name: claimable_of_viewer
select a.channel, a.channel_login as login, a.epoch_start_s, a.revision, a.seal_id, a.amount_base_units
  from claimable_allocations a
 where a.viewer_key = $1
   and not exists (select 1 from claims.claim_allocations c
                    where c.viewer_key = a.viewer_key and c.channel = a.channel
                      and c.epoch_start_s = a.epoch_start_s and c.revision = a.revision)
   and not exists (select 1 from stopped_channels s where s.channel = a.channel)
 order by a.seal_id
 limit $2;

-- name: named_of_viewer
select w.channel, w.epoch_start_s, w.revision, a.channel_login as login, a.seal_id, a.amount_base_units,
       c.claim_id, s.channel is not null as stopped
  from unnest($2::text[], $3::bigint[], $4::integer[]) as w(channel, epoch_start_s, revision)
  left join claimable_allocations a on a.viewer_key = $1 and a.channel = w.channel
        and a.epoch_start_s = w.epoch_start_s and a.revision = w.revision
  left join claims.claim_allocations c on c.viewer_key = $1 and c.channel = w.channel
        and c.epoch_start_s = w.epoch_start_s and c.revision = w.revision
  left join stopped_channels s on s.channel = w.channel;

-- name: reserved_today_by_viewer
select coalesce(sum(amount_base_units), 0) from claims.claims
 where viewer_key = $1 and reserved_at >= date_trunc('day', clock_timestamp(), 'UTC');

-- name: reserved_today_to_wallet
select coalesce(sum(amount_base_units), 0) from claims.claims
 where wallet = $1 and reserved_at >= date_trunc('day', clock_timestamp(), 'UTC');

-- name: seconds_of_day_left
select ceil(extract(epoch from date_trunc('day', now, 'UTC') + interval '24 hours' - now))::int
  from (select clock_timestamp() as now) as clock;

-- Claim, allocations, audit log and notice in one statement; taken: allocations that no other claim has. The caller
-- rolls back where those are not all.
-- name: insert_reservation
with made as (
    insert into claims.claims (viewer_key, wallet, mint, amount_base_units, fee) values ($1, $2, $3, $4, $5)
    returning *),
taken as (
    insert into claims.claim_allocations
           (viewer_key, channel, epoch_start_s, revision, seal_id, amount_base_units, claim_id)
    select made.viewer_key, w.channel, w.epoch_start_s, w.revision, w.seal_id, w.amount_base_units, made.claim_id
      from made
     cross join unnest($6::text[], $7::bigint[], $8::integer[], $9::integer[], $10::numeric[])
           as w(channel, epoch_start_s, revision, seal_id, amount_base_units)
    on conflict do nothing
    returning 1),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'twitch:id:' || viewer_key, 'reserve claim', 'claim ' || claim_id,
           jsonb_build_object('wallet', wallet, 'base_units', amount_base_units::text,
                              'allocations', cardinality($6::text[]), 'fee', fee)
      from made)
select made.*, (select count(*) from taken) as taken, pg_notify('twzrd_claims', claim_id::text) from made;

-- ==== read: any role =============================================================================================

-- name: claim_of_viewer
select * from claims.claims where viewer_key = $1 and claim_id = $2;

-- name: claims_of_viewer
select * from claims.claims where viewer_key = $1 and claim_id < $2 order by claim_id desc limit $3;

-- name: last_error
select error from claims.attempts where claim_id = $1 order by attempt desc limit 1;

-- name: allocations_of_claims
select a.claim_id, a.channel, coalesce(e.login, '') as login, a.epoch_start_s, a.revision, a.amount_base_units
  from claims.claim_allocations a
  left join sealed_epochs e on e.channel = a.channel and e.epoch_start_s = a.epoch_start_s and e.revision = a.revision
 where a.claim_id = any($1::bigint[])
 order by a.claim_id, a.channel, a.epoch_start_s, a.revision;

-- name: totals_of_viewer
with entitled as (
    select coalesce(sum(increase_base_units), 0) as base_units from viewer_epochs where viewer_key = $1),
ledger as (
    select coalesce(sum(a.amount_base_units) filter (where c.state = 'confirmed'), 0) as claimed,
           coalesce(sum(a.amount_base_units) filter (where c.state <> 'confirmed'), 0) as pending
      from claims.claim_allocations a join claims.claims c using (claim_id)
     where a.viewer_key = $1),
free as (
    select coalesce(sum(a.amount_base_units), 0) as base_units
      from claimable_allocations a
     where a.viewer_key = $1
       and not exists (select 1 from claims.claim_allocations c
                        where c.viewer_key = a.viewer_key and c.channel = a.channel
                          and c.epoch_start_s = a.epoch_start_s and c.revision = a.revision)
       and not exists (select 1 from stopped_channels s where s.channel = a.channel))
select entitled.base_units as entitled_base_units, ledger.claimed as claimed_base_units,
       ledger.pending as pending_base_units, free.base_units as claimable_base_units
  from entitled, ledger, free;

-- name: states_of_allocations
select a.channel, a.epoch_start_s, a.revision, a.claim_id, c.state
  from unnest($2::text[], $3::bigint[], $4::integer[]) as w(channel, epoch_start_s, revision)
  join claims.claim_allocations a on a.viewer_key = $1 and a.channel = w.channel
       and a.epoch_start_s = w.epoch_start_s and a.revision = w.revision
  join claims.claims c using (claim_id);

-- ==== moves: role twzrd_payer ====================================================================================

-- The lease: whoever takes a claim has it until not_before; a payer that dies gives it up by that. What waits longer than
-- anything may wait ($3) was written by a clock that has gone back since: it is due.
-- name: take_reserved
update claims.claims c set not_before = clock_timestamp() + make_interval(secs => $2)
  from (select claim_id from claims.claims
         where state = 'reserved' and fee = 'server'
           and (not_before <= clock_timestamp() or not_before > clock_timestamp() + make_interval(secs => $3))
         order by not_before, claim_id limit $1
           for update skip locked) due
 where c.claim_id = due.claim_id
returning c.*;

-- name: next_due_s
select extract(epoch from min(not_before) - clock_timestamp())::float8
  from claims.claims where state = 'reserved' and fee = 'server';

-- name: payable_claim
select * from claims.claims where claim_id = $1;

-- reserved -> signed, with the attempt that may land from now on.
-- name: store_attempts
with given as (
    select * from unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::text[])
           as g(claim_id, attempt, signature, blockhash, last_valid_block_height, transaction, marker)),
moved as (
    update claims.claims c
       set state = 'signed', signed_at = coalesce(c.signed_at, clock_timestamp()), signature = g.signature,
           marker = g.marker, attempts = g.attempt
      from given g
     where c.claim_id = g.claim_id and c.state = 'reserved' and c.attempts < g.attempt
    returning c.claim_id),
stored as (
    insert into claims.attempts
           (claim_id, attempt, signature, blockhash, last_valid_block_height, transaction)
    select g.claim_id, g.attempt, g.signature, g.blockhash, g.last_valid_block_height, g.transaction
      from given g join moved using (claim_id)
    returning claim_id, attempt, signature),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'payer', 'store attempt', 'claim ' || claim_id,
           jsonb_build_object('attempt', attempt, 'signature', signature)
      from stored)
select claim_id, pg_notify('twzrd_claim_states', claim_id::text) from stored;

-- name: note_sends
update claims.attempts a set sends = a.sends + 1, last_sent_at = clock_timestamp(), error = coalesce(g.error, a.error)
  from unnest($1::bigint[], $2::integer[], $3::text[]) as g(claim_id, attempt, error)
 where a.claim_id = g.claim_id and a.attempt = g.attempt and a.fate = 'signed';

-- name: note_first_sends
with first as (
    update claims.claims c set sent_at = clock_timestamp()
     where c.claim_id = any($1::bigint[]) and c.sent_at is null and c.state = 'signed'
    returning c.claim_id)
select claim_id, pg_notify('twzrd_claim_states', claim_id::text) from first;

-- A time that lies ahead was written by a clock that has gone back since: it counts as just as long ago.
-- name: open_attempts
select a.claim_id, a.attempt, a.signature, a.blockhash, a.last_valid_block_height, a.transaction, a.sends, a.error,
       abs(extract(epoch from clock_timestamp() - a.last_sent_at))::float8 as since_sent_s,
       abs(extract(epoch from clock_timestamp() - a.signed_at))::float8 as age_s, c.marker, c.fee
  from claims.attempts a join claims.claims c using (claim_id)
 where a.fate = 'signed' and a.claim_id > $1
 order by a.claim_id limit $2;

-- signed -> confirmed: this very attempt is final on the chain.
-- name: confirm_attempts
with given as (
    select * from unnest($1::bigint[], $2::integer[], $3::text[], $4::bigint[])
           as g(claim_id, attempt, signature, slot)),
moved as (
    update claims.claims c
       set state = 'confirmed', confirmed_at = clock_timestamp(), signature = g.signature, slot = g.slot,
           sent_at = coalesce(c.sent_at, clock_timestamp()), held_because = null
      from given g, claims.attempts a
     where c.claim_id = g.claim_id and c.state = 'signed'
       and a.claim_id = g.claim_id and a.attempt = g.attempt and a.fate = 'signed'
    returning c.claim_id, c.reserved_at),
decided as (
    update claims.attempts a set fate = 'confirmed', decided_at = clock_timestamp(), signature = g.signature, error = null
      from given g join moved using (claim_id)
     where a.claim_id = g.claim_id and a.attempt = g.attempt and a.fate = 'signed'
    returning a.claim_id, a.attempt, a.signature),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'payer', 'confirm claim', 'claim ' || claim_id,
           jsonb_build_object('attempt', attempt, 'signature', signature)
      from decided)
select m.claim_id, extract(epoch from clock_timestamp() - m.reserved_at)::float8 as took_s,
       pg_notify('twzrd_claim_states', m.claim_id::text)
  from moved m;

-- Any state -> confirmed: the chain shows the claim paid by an attempt that was given up, or after it was held. The
-- marker exists, so no other attempt can land any more.
-- name: confirm_landed
with moved as (
    update claims.claims c
       set state = 'confirmed', confirmed_at = clock_timestamp(), signature = $3, slot = $4,
           signed_at = coalesce(c.signed_at, clock_timestamp()), sent_at = coalesce(c.sent_at, clock_timestamp()),
           held_because = null
     where c.claim_id = $1 and c.state <> 'confirmed'
    returning c.claim_id, c.reserved_at),
decided as (
    update claims.attempts a
       set fate = case when a.attempt = $2 then 'confirmed' else 'expired' end, decided_at = clock_timestamp(),
           signature = case when a.attempt = $2 then $3 else a.signature end
      from moved
     where a.claim_id = moved.claim_id and (a.attempt = $2 or a.fate = 'signed')),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'payer', 'confirm claim late', 'claim ' || claim_id,
           jsonb_build_object('attempt', $2::integer, 'signature', $3::text)
      from moved)
select m.claim_id, extract(epoch from clock_timestamp() - m.reserved_at)::float8 as took_s,
       pg_notify('twzrd_claim_states', m.claim_id::text)
  from moved m;

-- An open attempt is given up: it can never land (expired), or it landed with an error (failed). The claim goes on as
-- reserved, or is held where $5 says why.
-- name: give_up_attempt
with moved as (
    update claims.claims c
       set state = case when $5::text is null then 'reserved' else 'held' end, held_because = $5, signature = null,
           sent_at = null, not_before = clock_timestamp() + make_interval(secs => $6)
      from claims.attempts a
     where c.claim_id = $1 and c.state = 'signed'
       and a.claim_id = c.claim_id and a.attempt = $2 and a.fate = 'signed'
    returning c.claim_id),
decided as (
    update claims.attempts a set fate = $3, decided_at = clock_timestamp(), error = coalesce($4, a.error)
      from moved where a.claim_id = moved.claim_id and a.attempt = $2 and a.fate = 'signed'
    returning a.claim_id, a.error),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'payer', $3::text || ' attempt', 'claim ' || claim_id,
           jsonb_build_object('attempt', $2::integer, 'error', error, 'held_because', $5::text)
      from decided)
select claim_id, pg_notify('twzrd_claim_states', claim_id::text) from moved;

-- name: hold_reserved
with moved as (
    update claims.claims set state = 'held', held_because = $2
     where claim_id = $1 and state = 'reserved'
    returning claim_id),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'payer', 'hold claim', 'claim ' || claim_id, jsonb_build_object('held_because', $2::text) from moved)
select claim_id, pg_notify('twzrd_claim_states', claim_id::text) from moved;

-- name: postpone_reserved
update claims.claims c set not_before = clock_timestamp() + make_interval(secs => g.wait_s)
  from unnest($1::bigint[], $2::float8[]) as g(claim_id, wait_s)
 where c.claim_id = g.claim_id and c.state = 'reserved';

-- name: stored_attempts
select attempt, transaction from claims.attempts where claim_id = $1 order by attempt;

-- name: marker_of
select marker from claims.signer_claims where claim_id = $1;

-- name: returned
select claim_id, marker from claims.claims
 where state = 'reserved' and fee <> 'server' and marker is not null and claim_id > $1
 order by claim_id limit $2;

-- name: counts_by_state
select state, count(*) as claims, coalesce(extract(epoch from clock_timestamp() - min(reserved_at)), 0)::float8 as oldest_s
  from claims.claims where state <> 'confirmed' group by state;

-- A day by the clock, which may jump, and by the chain: not while an attempt that the signer ever signed may still land
-- ($4: a height that all nodes have reached). Without its marker nothing would stop that one.
-- name: markers_due
select c.claim_id, c.marker, s.marker_seed
  from claims.claims c join claims.signer_claims s using (claim_id)
 where c.state = 'confirmed' and c.rent_returned_at is null and c.marker is not null
   and c.confirmed_at <= clock_timestamp() - make_interval(secs => $1) and c.claim_id > $2
   and not exists (select 1 from claims.signer_attempts a
                    where a.claim_id = c.claim_id and a.last_valid_block_height >= $4)
 order by c.claim_id limit $3;

-- name: rent_returned
with moved as (
    update claims.claims set rent_returned_at = clock_timestamp()
     where claim_id = any($1::bigint[]) and state = 'confirmed' and rent_returned_at is null
    returning claim_id),
noted as (
    insert into claims.audit_log (actor, action, subject)
    select 'payer', 'return rent', 'claim ' || claim_id from moved)
select claim_id from moved;

-- ==== operate: the database's owner ==============================================================================

-- name: list_claims
select claim_id, viewer_key, wallet, amount_base_units, fee, state, reserved_at, attempts, signature, held_because
  from claims.claims
 where ($1::text is null or state = $1) and claim_id < $2
 order by claim_id desc limit $3;

-- name: claim
select * from claims.claims where claim_id = $1;

-- name: attempts_of_claim
select attempt, signature, blockhash, last_valid_block_height, fate, signed_at, sends, last_sent_at, decided_at, error
  from claims.attempts where claim_id = $1 order by attempt;

-- name: audit_of
select at, actor, action, detail::text as detail from claims.audit_log where subject = $1 order by audit_id;

-- Under the lock on the signer's books. To the wallet in force now, where nothing was ever signed for the claim: what is
-- booked stays as it was booked. A claim that waits for its viewer is paid as the server pays others ($3).
-- name: retry_claim
with moved as (
    update claims.claims c
       set state = 'reserved', held_because = null, not_before = clock_timestamp(),
           fee = case when c.fee = 'server' then c.fee else $3 end,
           wallet = coalesce((select w.wallet from claims.wallets_in_force w
                               where w.viewer_key = c.viewer_key
                                 and not exists (select 1 from claims.signer_claims s where s.claim_id = c.claim_id)),
                             c.wallet)
     where c.claim_id = $1 and (c.state = 'held' or (c.state = 'reserved' and c.fee <> 'server'))
    returning c.claim_id, c.wallet, c.fee),
noted as (
    insert into claims.audit_log (actor, action, subject, detail)
    select 'operator', 'retry claim', 'claim ' || claim_id,
           jsonb_build_object('note', $2::text, 'wallet', wallet, 'fee', fee) from moved)
select claim_id, pg_notify('twzrd_claims', claim_id::text), pg_notify('twzrd_claim_states', claim_id::text) from moved;

-- name: set_frozen
with moved as (
    update claims.switches set frozen = $1, frozen_because = $2, changed_at = clock_timestamp()
    returning 1)
insert into claims.audit_log (actor, action, subject, detail)
select 'operator', case when $1 then 'freeze' else 'unfreeze' end, 'switches', jsonb_build_object('because', $2::text)
  from moved;

-- name: set_cap
with moved as (
    update claims.switches set daily_cap_base_units = $1, changed_at = clock_timestamp()
    returning 1)
insert into claims.audit_log (actor, action, subject, detail)
select 'operator', 'set daily cap', 'switches', jsonb_build_object('base_units', $1::numeric::text) from moved;

-- name: set_wallet_wait
with before as (select change_wait_s from claims.binding_rule for update), moved as (
    update claims.binding_rule set change_wait_s = $1 returning 1)
insert into claims.audit_log (actor, action, subject, detail)
select 'operator', 'set wallet wait', 'binding_rule', jsonb_build_object('change_wait_s', $1::int, 'before_s', change_wait_s)
  from before, moved;

-- name: wallet_wait
select change_wait_s from claims.binding_rule;

-- name: switches
select frozen, frozen_because, daily_cap_base_units, changed_at from claims.switches;

-- name: confirmed_claims
select c.claim_id, c.wallet, c.mint, c.amount_base_units, c.signature, c.slot, c.marker, s.marker_seed,
       a.amount_base_units as allocated_base_units
  from claims.claims c
  left join claims.signer_claims s using (claim_id)
  left join lateral (select sum(amount_base_units) as amount_base_units from claims.claim_allocations
                      where claim_id = c.claim_id) a on true
 where c.state = 'confirmed' and c.claim_id > $1 order by c.claim_id limit $2;

-- name: confirmed_sum
select coalesce(sum(amount_base_units), 0) from claims.claims where state = 'confirmed' and mint = $1;
