"""Files beside this one as answers: which paths the viewer's page has, and of which kind each file is.

In: the folder `claim`. Out: answers by path, read once. A name that browsers would not take for what it is (a suffix
that is not listed) is not served.
"""

from pathlib import Path, PurePosixPath
from typing import Final

from blake3 import blake3

from claim_api.answer import PAGE_CSP, Answer, tagged

CLAIM_FOLDER: Final = Path(__file__).parent / "claim"
CLAIM_PATHS: Final = ("/claim", "/claim-v2")
"""Where the page itself is; the second is the original's."""
REVALIDATED: Final = b"no-cache"
"""The page's modules fit each other only as of one version, so a browser asks each time; an ETag makes that cheap."""
KINDS: Final = {
    ".html": b"text/html; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".json": b"application/json",
}
LICENCE: Final = "LICENSE"


def page(body: bytes, kind: bytes, csp: bytes, cache: bytes) -> Answer:
    """One file with the ETag of its bytes."""
    return tagged(body, b'"%s"' % blake3(body).hexdigest()[:32].encode(), cache, kind, csp)


def claim_pages() -> dict[str, Answer]:
    """The viewer's page at its paths, and each of its files under /claim/."""
    index = page((CLAIM_FOLDER / "index.html").read_bytes(), KINDS[".html"], PAGE_CSP, REVALIDATED)
    found = dict.fromkeys(CLAIM_PATHS, index)
    for file in sorted(CLAIM_FOLDER.rglob("*")):
        kind = b"text/plain; charset=utf-8" if file.name == LICENCE else KINDS.get(file.suffix)
        if kind is not None and file.name != "index.html":
            name = PurePosixPath(file.relative_to(CLAIM_FOLDER).as_posix())
            found[f"/claim/{name}"] = page(file.read_bytes(), kind, PAGE_CSP, REVALIDATED)
    return found
