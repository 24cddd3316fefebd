"""Known errors in one line of the log. Used by `app.run_worker`.

Faust logs whatever ends a service with its traceback, through every service above it. Our own errors say themselves
what is wrong and what mends it.
"""

import logging

from schemas.errors import TwzrdError


class KnownErrors(logging.Filter):
    """On a handler: a record that bears one of our errors becomes that error's text."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Never leaves a record out."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, TwzrdError):
            record.msg, record.args, record.exc_info, record.exc_text = str(error), (), None, None
        return True
