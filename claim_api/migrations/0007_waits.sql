-- A waiting time is a defence only where its owner can use it. Who signs with the wallet in force once more keeps it at
-- once, and by that voids every change that waits: wallets_in_force takes the newest binding whose time has come, and
-- what waited is older than this one, so that its time comes to nothing.
create or replace function claims.bind_wallet(
    of_viewer bigint, to_wallet text, said bytea, signed bytea, said_as text
) returns timestamptz language plpgsql security definer set search_path = claims, pg_temp as $$
declare
    held text;
    effective timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('twzrd wallet ' || of_viewer, 0));
    -- Not the view: its now() is when the transaction began, perhaps before the lock was ours.
    select wallet into held from user_wallets
     where viewer_key = of_viewer and effective_at <= clock_timestamp() order by binding_id desc limit 1;
    select case when held is distinct from to_wallet
                 and exists (select 1 from user_wallets where viewer_key = of_viewer)
                then clock_timestamp() + make_interval(secs => change_wait_s) else clock_timestamp() end
      into effective from binding_rule;
    insert into user_wallets (viewer_key, wallet, effective_at, message, signature, form)
    values (of_viewer, to_wallet, effective, said, signed, said_as);
    return effective;
end $$;

-- Which token waits longest for its hourly validation: asked again and again while many are due.
create index on claims.sessions (validated_at) where revoked_at is null and token_sealed is not null;
