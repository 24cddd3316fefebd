-- A season of one channel's hours as the projections write them: $1 hours, $2 viewers in each, for the row of
-- eligibility. Proofs are not asked here, so seals have neither header nor body.
-- name: seals
insert into sealed_epochs (
    channel, epoch_start_s, revision, seal_id, login, epoch_length_s, leaf_count, total_weight_centi, total_messages,
    seal_hash, root, policy_hash, header, coverage, observed_ms, absent_ms, events, duplicates, conflicts, excluded,
    partition, from_offset, through_offset, closed_by, sealed_offset, body)
select 'twitch:id:40000000', 1760000400 + 3600 * n, 0, n + 1, 'channel_00', 3600, $2::bigint, $2::bigint * 100,
       $2::bigint, ''::bytea, ''::bytea, ''::bytea, ''::bytea, '[]'::jsonb, 3600000, 0, $2::bigint, 0, 0, 0, 0, n, n,
       'watermark', n, ''::bytea
  from generate_series(0, $1::integer - 1) as n;

-- name: channel
insert into channels values ('twitch:id:40000000', 'channel_00', 1760000400, 1760000400 + 3600 * ($1::bigint - 1), $1);

-- name: leaves
insert into viewer_epochs (viewer_key, weight_centi, seal_id, leaf_index, increase_base_units)
select 100000000 + 7 * v, 100, n, (v * 7919::bigint + n) % $2, 80000000000
  from generate_series(1, $1::integer) as n, generate_series(0, $2::integer - 1) as v
 order by n, (v * 7919::bigint + n) % $2;

-- name: users
insert into claims.twitch_users (viewer_key, login, display_name)
select 100000000 + 7 * v, 'viewer_' || v, 'Viewer_' || v from generate_series(0, $1::integer - 1) as v;

-- name: sessions
insert into claims.sessions (session_hash, viewer_key, expires_at)
select hash, 100000000 + 7 * (place - 1), now() + interval '1 day'
  from unnest($1::bytea[]) with ordinality as given(hash, place);

-- Each viewer has one confirmed claim and one under way, of the oldest hours.
-- name: claims
insert into claims.claims (viewer_key, wallet, mint, amount_base_units, fee, state, signature, confirmed_at)
select viewer_key, 'wallet', 'mint', 80000000000 * 6, 'server', state,
       case state when 'confirmed' then 'signature' end, case state when 'confirmed' then now() end
  from claims.twitch_users cross join unnest(array['confirmed', 'signed']) as state;

-- name: claimed
insert into claims.claim_allocations
select c.viewer_key, e.channel, e.epoch_start_s, e.revision, e.seal_id, 80000000000, c.claim_id
  from claims.claims c
  join sealed_epochs e on e.seal_id between case c.state when 'confirmed' then 1 else 7 end
                                        and case c.state when 'confirmed' then 6 else 12 end;
