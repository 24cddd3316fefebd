"""A wallet's address as somebody wrote it. In: text. Out: the same, or an ApiError of 400."""

from solders.pubkey import Pubkey

from claim_api.errors import ApiError


def checked_wallet(text: str) -> str:
    """A Solana address: base58 of 32 bytes. Raises ApiError 400 `invalid_wallet`."""
    try:
        return str(Pubkey.from_string(text))
    except ValueError:
        message = f"wallet {text[:64]!r} is no Solana address"
        raise ApiError(400, "invalid_wallet", message, "give base58 of 32 bytes") from None
