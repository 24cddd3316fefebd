-- What was signed for on each day of UTC, kept as it is booked: the cap is held against one row, not against a day's claims.
create table claims.signer_days (
    day date primary key,
    base_units numeric(30, 0) not null check (base_units >= 0)
);
insert into claims.signer_days select day, sum(amount_base_units) from claims.signer_claims group by day;
grant select, insert, update on claims.signer_days to twzrd_signer;
grant select on claims.signer_days to twzrd_web, twzrd_payer;
