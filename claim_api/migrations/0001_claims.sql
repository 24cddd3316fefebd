-- What the claim side writes: people, sessions, wallets, the ledger, the signer's own books. Three roles share it, so
-- that no process can do another's part: docs/claims.md, Roles.

do $$
declare
    role text;
begin
    foreach role in array array['twzrd_web', 'twzrd_payer', 'twzrd_signer'] loop
        begin
            execute format('create role %I login', role);
        exception when duplicate_object or unique_violation then
            null;  -- roles belong to the whole server; another database of it made them
        end;
    end loop;
end $$;

create schema if not exists claims;

-- ---- People and sessions ----------------------------------------------------------------------------------------

create table claims.twitch_users (
    viewer_key bigint primary key check (viewer_key >= 0),
    login text not null,
    display_name text not null,
    first_sign_in_at timestamptz not null default now(),
    last_sign_in_at timestamptz not null default now()
);

create table claims.sign_in_states (
    state_hash bytea primary key,
    browser_hash bytea not null,
    return_path text not null,
    expires_at timestamptz not null
);
create index on claims.sign_in_states (expires_at);

create table claims.sessions (
    session_hash bytea primary key,
    viewer_key bigint not null references claims.twitch_users,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    validated_at timestamptz not null default now(),
    revoked_at timestamptz,
    revoked_because text,
    token_sealed bytea
);
create index on claims.sessions (viewer_key);
create index on claims.sessions (expires_at);

-- ---- Wallets -----------------------------------------------------------------------------------------------------

create table claims.wallet_challenges (
    nonce text primary key,
    session_hash bytea not null,
    viewer_key bigint not null,
    wallet text not null,
    message text not null,
    expires_at timestamptz not null,
    used_at timestamptz
);
create index on claims.wallet_challenges (expires_at);

create table claims.user_wallets (
    binding_id bigint generated always as identity primary key,
    viewer_key bigint not null references claims.twitch_users,
    wallet text not null,
    bound_at timestamptz not null default now(),
    effective_at timestamptz not null,
    message bytea not null,
    signature bytea not null,
    form text not null check (form in ('siws', 'off-chain'))
);
create index on claims.user_wallets (viewer_key, effective_at);

-- ---- The ledger --------------------------------------------------------------------------------------------------

create table claims.claims (
    claim_id bigint generated always as identity primary key,
    viewer_key bigint not null,
    wallet text not null,
    mint text not null,
    amount_base_units numeric(20, 0) not null check (amount_base_units > 0),
    fee text not null check (fee in ('server', 'viewer', 'action')),
    state text not null default 'reserved' check (state in ('reserved', 'signed', 'confirmed', 'held')),
    reserved_at timestamptz not null default now(),
    signed_at timestamptz,
    sent_at timestamptz,
    confirmed_at timestamptz,
    signature text,
    slot bigint,
    marker text,
    rent_returned_at timestamptz,
    held_because text,
    not_before timestamptz not null default now(),
    attempts integer not null default 0,
    check (state <> 'confirmed' or (signature is not null and confirmed_at is not null))
);
create index on claims.claims (viewer_key, claim_id);
create index on claims.claims (not_before, claim_id) where state in ('reserved', 'signed');
create index on claims.claims (confirmed_at) where state = 'confirmed' and rent_returned_at is null;

-- An allocation is paid once and for ever: this key is what makes it so.
create table claims.claim_allocations (
    viewer_key bigint not null,
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    seal_id integer not null,
    amount_base_units numeric(20, 0) not null check (amount_base_units > 0),
    claim_id bigint not null references claims.claims,
    primary key (viewer_key, channel, epoch_start_s, revision)
);
create index on claims.claim_allocations (claim_id);

-- Each signed transaction, written down before it is sent. fate: signed (may land), confirmed, failed (landed with an
-- error, so it changed nothing), expired (can never land: its block height is past and it is found nowhere).
create table claims.attempts (
    claim_id bigint not null references claims.claims,
    attempt integer not null,
    signature text unique,
    blockhash text not null,
    last_valid_block_height bigint not null,
    transaction bytea not null,
    fate text not null default 'signed' check (fate in ('signed', 'confirmed', 'failed', 'expired')),
    signed_at timestamptz not null default now(),
    sends integer not null default 0,
    last_sent_at timestamptz,
    decided_at timestamptz,
    error text,
    primary key (claim_id, attempt)
);
-- Of one claim at most one transaction can land at any time.
create unique index one_open_attempt on claims.attempts (claim_id) where fate = 'signed';

-- ---- The signer's own books: what it signed for, whatever the ledger says -----------------------------------------

create table claims.signer_claims (
    claim_id bigint primary key,
    viewer_key bigint not null,
    wallet text not null,
    amount_base_units numeric(20, 0) not null,
    marker text not null unique,
    marker_seed text not null,
    day date not null,
    first_signed_at timestamptz not null default now()
);
create index on claims.signer_claims (day);

create table claims.signer_allocations (
    viewer_key bigint not null,
    channel text not null,
    epoch_start_s bigint not null,
    revision integer not null,
    claim_id bigint not null references claims.signer_claims,
    primary key (viewer_key, channel, epoch_start_s, revision)
);

create table claims.signer_attempts (
    claim_id bigint not null references claims.signer_claims,
    attempt integer not null,
    blockhash text not null,
    last_valid_block_height bigint not null,
    message bytea not null,
    signed_at timestamptz not null default now(),
    primary key (claim_id, attempt)
);

-- What an operator switches: one row. Money already signed for may still land; nothing new is signed while frozen.
create table claims.switches (
    one boolean primary key default true check (one),
    frozen boolean not null default false,
    frozen_because text,
    daily_cap_base_units numeric(20, 0) check (daily_cap_base_units >= 0),
    changed_at timestamptz not null default now()
);
insert into claims.switches default values;

-- ---- Audit -------------------------------------------------------------------------------------------------------

create table claims.audit_log (
    audit_id bigint generated always as identity primary key,
    at timestamptz not null default clock_timestamp(),
    actor text not null,
    action text not null,
    subject text not null,
    detail jsonb not null default '{}'
);
create index on claims.audit_log (subject, audit_id);

-- A wallet binds at once where the viewer had none, else after the waiting time that the database keeps: a process that
-- was taken over cannot shorten it, nor touch the history.
create table claims.binding_rule (
    one boolean primary key default true check (one),
    change_wait_s integer not null default 86400 check (change_wait_s >= 0)
);
insert into claims.binding_rule default values;

create function claims.bind_wallet(
    of_viewer bigint, to_wallet text, said bytea, signed bytea, said_as text
) returns timestamptz language plpgsql security definer set search_path = claims, pg_temp as $$
declare
    effective timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('twzrd wallet ' || of_viewer, 0));
    select case when exists (select 1 from user_wallets where viewer_key = of_viewer)
                then clock_timestamp() + make_interval(secs => change_wait_s) else clock_timestamp() end
      into effective from binding_rule;
    insert into user_wallets (viewer_key, wallet, effective_at, message, signature, form)
    values (of_viewer, to_wallet, effective, said, signed, said_as);
    return effective;
end $$;
revoke execute on function claims.bind_wallet from public;

-- The wallet in force: of the bindings whose time has come the last one made.
create view claims.wallets_in_force as
select distinct on (viewer_key) viewer_key, wallet, binding_id, bound_at, effective_at, message, signature, form
  from claims.user_wallets
 where effective_at <= now()
 order by viewer_key, binding_id desc;

-- ---- Roles -------------------------------------------------------------------------------------------------------

grant usage on schema claims, public to twzrd_web, twzrd_payer, twzrd_signer;
grant select on all tables in schema public to twzrd_web, twzrd_payer, twzrd_signer;
-- Rebuilds put new tables in the place of old ones.
alter default privileges in schema public grant select on tables to twzrd_web, twzrd_payer, twzrd_signer;

grant select on all tables in schema claims to twzrd_web, twzrd_payer, twzrd_signer;
revoke select on claims.sessions, claims.sign_in_states, claims.wallet_challenges from twzrd_payer, twzrd_signer;
grant insert on claims.audit_log to twzrd_web, twzrd_payer, twzrd_signer;

grant insert, update on claims.twitch_users to twzrd_web;
grant insert, update, delete on claims.sign_in_states, claims.sessions, claims.wallet_challenges to twzrd_web;
grant execute on function claims.bind_wallet to twzrd_web;
grant insert on claims.claims, claims.claim_allocations to twzrd_web;

grant update on claims.claims to twzrd_payer;
grant insert, update on claims.attempts to twzrd_payer;

grant insert on claims.signer_claims, claims.signer_allocations, claims.signer_attempts to twzrd_signer;
