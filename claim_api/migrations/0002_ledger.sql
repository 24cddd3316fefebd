-- Rights by column: a role writes what its step decides, and nothing that another process goes by.

-- A reservation says who, where to, how much; it begins as `reserved`, whatever the web process says.
revoke insert on claims.claims from twzrd_web;
grant insert (viewer_key, wallet, mint, amount_base_units, fee) on claims.claims to twzrd_web;

-- The payer moves a claim along; viewer, wallet, mint and amount stay as they were reserved.
revoke update on claims.claims from twzrd_payer;
grant update (
    state, signed_at, sent_at, confirmed_at, signature, slot, marker, rent_returned_at, held_because, not_before, attempts
) on claims.claims to twzrd_payer;

-- The bytes of an attempt never change; only its fate is decided. An action's signature is learnt from the chain.
revoke update on claims.attempts from twzrd_payer;
grant update (fate, signature, sends, last_sent_at, decided_at, error) on claims.attempts to twzrd_payer;

-- The daily limits sum what was reserved since midnight.
create index on claims.claims (wallet, reserved_at);

-- In the order of the commits, which the lock on the books makes that of the inserts.
alter table claims.signer_attempts alter column signed_at set default clock_timestamp();
create index on claims.signer_attempts (signed_at);
