"""Errors of reading an input as a whole; single bad lines are dead lines instead."""

from schemas.errors import TwzrdError


class SourceError(TwzrdError):
    """An input that cannot be read at all, or no further. Names the input, where, and what to do."""
