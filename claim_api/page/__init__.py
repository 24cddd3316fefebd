"""The documentation page and the OpenAPI document, as fixed bytes with their own ETags.

In: nothing but the files beside this one. Out: answers. The page's script reads /openapi.json and writes only text
nodes, so nothing that comes from outside can become markup; its CSP allows no other source of anything.
"""

from pathlib import Path
from typing import Final

from blake3 import blake3

from claim_api.answer import API_CSP, JSON, PAGE_CSP, Answer, tagged
from claim_api.errors import ApiError
from claim_api.openapi import document_bytes
from claim_api.request import Request

FOLDER: Final = Path(__file__).parent
CACHE: Final = b"public, max-age=300"
_FILES: Final = {
    "/docs": ("docs.html", b"text/html; charset=utf-8"),
    "/docs/docs.js": ("docs.js", b"text/javascript; charset=utf-8"),
    "/docs/docs.css": ("docs.css", b"text/css; charset=utf-8"),
}


class StaticPages:
    """Read once; / leads to /docs."""

    def __init__(self) -> None:
        self._pages = {
            path: _page((FOLDER / name).read_bytes(), kind, PAGE_CSP) for path, (name, kind) in _FILES.items()
        }
        self._pages["/openapi.json"] = _page(document_bytes(), JSON, API_CSP)
        to_docs = Answer(307, [(b"location", b"/docs"), (b"content-length", b"0"), (b"cache-control", CACHE)], b"")
        self._pages["/"] = self._pages["/docs/"] = to_docs

    async def page(self, request: Request) -> Answer:
        """Raises ApiError 404 for a path that nothing here has."""
        found = self._pages.get(request.path)
        if found is None:
            raise ApiError(404, "unknown_path", "nothing here has this path", "see /docs for what there is")
        request.query(())
        return found


def _page(body: bytes, kind: bytes, csp: bytes) -> Answer:
    return tagged(body, b'"%s"' % blake3(body).hexdigest()[:32].encode(), CACHE, kind, csp)
