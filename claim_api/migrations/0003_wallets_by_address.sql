-- Strangers may ask what a wallet can claim: never by reading every binding.
create index on claims.user_wallets (wallet);
