"""What can go wrong with the embedded server, for whoever starts it."""

from schemas.errors import TwzrdError


class PostgresError(TwzrdError):
    """The embedded server did not start, stop or answer as it should."""


class PostgresUnavailable(PostgresError):
    """This machine lacks something the embedded server needs; the message names the mend."""
