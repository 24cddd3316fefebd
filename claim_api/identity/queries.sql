-- name: session
select s.viewer_key, u.login, u.display_name, s.expires_at
  from claims.sessions s join claims.twitch_users u using (viewer_key)
 where s.session_hash = $1 and s.revoked_at is null and s.expires_at > clock_timestamp();

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
