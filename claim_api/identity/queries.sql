-- name: sessions
select s.session_hash, s.viewer_key, u.login, u.display_name, s.expires_at
  from claims.sessions s join claims.twitch_users u using (viewer_key)
 where s.session_hash = any($1::bytea[]) and s.revoked_at is null and s.expires_at > clock_timestamp();

-- name: begin_session
insert into claims.sessions (session_hash, viewer_key, expires_at, token_sealed) values ($1, $2, $3, $4);

-- name: revoke_session
update claims.sessions set revoked_at = clock_timestamp(), revoked_because = $2
 where session_hash = $1 and revoked_at is null
returning viewer_key;

-- name: revoke_sessions
update claims.sessions set revoked_at = clock_timestamp(), revoked_because = $2
 where viewer_key = $1 and revoked_at is null
returning session_hash;

-- name: put_user
insert into claims.twitch_users (viewer_key, login, display_name) values ($1, $2, $3)
on conflict (viewer_key) do update
   set login = excluded.login, display_name = excluded.display_name, last_sign_in_at = now();

-- name: put_state
insert into claims.sign_in_states (state_hash, browser_hash, return_path, expires_at)
values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4));

-- name: take_state
delete from claims.sign_in_states where state_hash = $1
returning browser_hash, return_path, expires_at > clock_timestamp() as fresh;

-- name: delete_old_states
delete from claims.sign_in_states where state_hash in
    (select state_hash from claims.sign_in_states where expires_at < now() order by expires_at limit $1);

-- name: delete_old_challenges
delete from claims.wallet_challenges where nonce in
    (select nonce from claims.wallet_challenges where expires_at < now() order by expires_at limit $1);

-- name: delete_old_sessions
delete from claims.sessions where session_hash in
    (select session_hash from claims.sessions
      where expires_at < now() - make_interval(secs => $2) order by expires_at limit $1);

-- name: sessions_to_validate
select session_hash, viewer_key, token_sealed,
       validated_at < now() - make_interval(secs => $2) as too_old
  from claims.sessions
 where revoked_at is null and expires_at > now() and token_sealed is not null
   and validated_at < now() - make_interval(secs => $1) and not session_hash = any($4::bytea[])
 order by validated_at limit $3;

-- name: oldest_validation_s
select extract(epoch from now() - min(validated_at))::float8 from claims.sessions
 where revoked_at is null and expires_at > now() and token_sealed is not null;

-- name: lock_session
select token_sealed from claims.sessions
 where session_hash = $1 and revoked_at is null for update skip locked;

-- name: session_validated
update claims.sessions set validated_at = now() where session_hash = $1 and revoked_at is null;

-- name: session_renewed
update claims.sessions set validated_at = now(), token_sealed = $2 where session_hash = $1 and revoked_at is null;

-- name: rename_user
update claims.twitch_users set login = $2 where viewer_key = $1 and login <> $2 returning login;

-- name: tokens_to_hand_back
select session_hash, token_sealed, coalesce(revoked_at, expires_at) < now() - make_interval(secs => $2) as too_old
  from claims.sessions
 where token_sealed is not null and (revoked_at is not null or expires_at < now())
 order by coalesce(revoked_at, expires_at) limit $1;

-- name: forget_token
update claims.sessions set token_sealed = null where session_hash = $1;

-- name: me
-- Next is what comes into force first; what is older than the binding in force is void.
select w.wallet, w.bound_at, w.effective_at, n.wallet as next_wallet, n.bound_at as next_bound_at,
       n.effective_at as next_effective_at, s.frozen
  from claims.switches s
  left join claims.wallets_in_force w on w.viewer_key = $1
  left join lateral (
      select wallet, bound_at, effective_at from claims.user_wallets
       where viewer_key = $1 and effective_at > now() and binding_id > coalesce(w.binding_id, 0)
       order by effective_at, binding_id limit 1
  ) n on true;
