"""What goes wrong with keys and transactions."""

from schemas.errors import TwzrdError


class ChainError(TwzrdError):
    """Anything of streams.chain that is raised on purpose."""


class KeyFileError(ChainError):
    """A key file that is missing, malformed, or open to others."""


class TermsError(ChainError):
    """What a claim should pay cannot be: an amount out of range, no allocations, a seed that is none."""


class PaymentMismatch(ChainError):
    """A transaction that is not the claim's: the message names the first thing that differs."""


class AccountDataError(ChainError):
    """The bytes of an account are not what its program would have written."""
