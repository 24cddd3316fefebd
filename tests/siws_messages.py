"""What tests of wallets share: keys, a sign-in as the server asks for it, and each way a wallet writes it down."""

from datetime import UTC, datetime, timedelta

from solders.keypair import Keypair

from claim_api.wallets import off_chain, siws

DOMAIN = "rewards.example:8443"
AT = datetime(2026, 11, 26, 12, 0, 0, 123_000, tzinfo=UTC)
KEY = Keypair.from_seed(b"\x01" * 32)
OTHER = Keypair.from_seed(b"\x02" * 32)
WALLET = str(KEY.pubkey())
IDENTITY = "twitch:id:5"


def asked(wallet: str = WALLET) -> siws.SignIn:
    """One challenge."""
    return siws.SignIn(
        domain=DOMAIN,
        address=wallet,
        uri=f"https://{DOMAIN}",
        chain_id="localnet",
        nonce="0123456789abcdef0123456789abcdef",
        issued_at=AT,
        expiration_time=AT + timedelta(seconds=siws.LIFE_S),
        identity=IDENTITY,
    )


def forms(text: bytes, key: bytes, domain: str = DOMAIN) -> dict[str, bytes]:
    """The bytes that wallets of each kind sign."""
    made = {"siws": text, "v1": off_chain.wrap_v1(text, key)}
    for number in off_chain.FORMATS:
        made[f"compact {number}"] = off_chain.wrap_compact(text, number)
        for n, one in enumerate(off_chain.application_domains(domain)):
            made[f"v0 format {number} domain {n}"] = off_chain.wrap(text, key, one, number)
    return made
