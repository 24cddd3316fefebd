-- name: put_challenge
insert into claims.wallet_challenges (nonce, session_hash, viewer_key, wallet, message, expires_at)
values ($1, $2, $3, $4, $5, $6);

-- name: challenge
select wallet, message, expires_at from claims.wallet_challenges
 where nonce = $1 and session_hash = $2 and viewer_key = $3 and used_at is null;

-- name: use_challenge
update claims.wallet_challenges set used_at = clock_timestamp()
 where nonce = $1 and session_hash = $2 and used_at is null and expires_at > clock_timestamp()
returning nonce;

-- name: bind_wallet
select claims.bind_wallet($1, $2, $3, $4, $5);

-- name: wallets
select wallet, bound_at, effective_at, form from claims.user_wallets
 where viewer_key = $1 order by binding_id desc limit $2;
