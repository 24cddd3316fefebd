-- Viewers of a benchmark as if each had signed in and bound a wallet.

-- name: viewers
select distinct viewer_key from claimable_allocations order by viewer_key;

-- name: put_users
insert into claims.twitch_users (viewer_key, login, display_name)
select v, 'n' || v, 'n' || v from unnest($1::bigint[]) as v;

-- name: put_sessions
insert into claims.sessions (session_hash, viewer_key, expires_at)
select s, v, now() + interval '1 day' from unnest($1::bytea[], $2::bigint[]) as g(s, v);

-- name: put_wallets
select count(claims.bind_wallet(v, w, m, s, 'siws'))
  from unnest($1::bigint[], $2::text[], $3::bytea[], $4::bytea[]) as g(v, w, m, s);

-- name: confirmed
select count(*) from claims.claims where state = 'confirmed';

-- From the first reservation to the last confirmation, and the most that was confirmed within any second.
-- name: span
select count(*) as claims, extract(epoch from max(confirmed_at) - min(reserved_at))::float8 as taken_s
  from claims.claims where state = 'confirmed' and claim_id > $1;

-- name: newest_claim
select coalesce(max(claim_id), 0) from claims.claims;
