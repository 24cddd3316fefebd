-- What `twzrd demo` asks of the read models, as the database's owner.

-- Of these viewers, in this order, the first ones who have something to claim and never bound a wallet.
-- name: claimants
select w.viewer_key
  from unnest($1::bigint[]) with ordinality as w(viewer_key, place)
 where exists (select 1 from claimable_allocations a where a.viewer_key = w.viewer_key)
   and not exists (select 1 from claims.user_wallets u where u.viewer_key = w.viewer_key)
 order by w.place limit $2;
