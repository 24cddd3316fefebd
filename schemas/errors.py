"""The one exception tree. A message names the thing, the value and the mend."""


class TwzrdError(Exception):
    """Any error this project raises on purpose; the command line prints it without a traceback."""


class SchemaError(TwzrdError):
    """Bytes or values that do not fit a documented form."""


class UnknownVersion(SchemaError):
    """A record written by a newer program; never guessed at, kept as a dead letter."""


class ProofError(TwzrdError):
    """A proof that does not hold, or is not of the documented form."""
