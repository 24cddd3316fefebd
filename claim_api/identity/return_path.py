"""Where a browser goes when a sign-in is over: a path of this site and nothing else.

In: what the query `return` said. Out: a path that no browser takes for another address, or an ApiError of 400. Pure.
"""

import re
from typing import Final
from urllib.parse import urlsplit

from claim_api.errors import malformed

MAX_CHARS: Final = 512
# One slash, then no second one and no backslash (browsers read it as a slash); printable ASCII without quotes. Browsers
# drop tabs and line ends from addresses, so "/\t/elsewhere" would be one.
_LOCAL = re.compile(r"/(?![/\\])[!#-&(-;=?-\[\]_a-z~]*")


def check(path: str) -> str:
    """The path. Raises ApiError 400 for what is not surely ours."""
    if len(path) > MAX_CHARS or _LOCAL.fullmatch(path) is None:
        raise malformed("return", path, "give a path of this site, for example /rewards")
    return path


def with_outcome(path: str, code: str) -> str:
    """The path with the query field sign_in."""
    parts = urlsplit(path)
    kept = [field for field in parts.query.split("&") if field and not field.startswith("sign_in=")]
    # Not put together by urlunsplit: a path that begins with several slashes must stay as it is.
    before = path.split("#", 1)[0].split("?", 1)[0]
    fragment = "#" + parts.fragment if parts.fragment else ""
    return f"{before}?{'&'.join([*kept, f'sign_in={code}'])}{fragment}"
