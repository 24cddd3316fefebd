"""The documentation page, the OpenAPI document and the viewer's claim page, as fixed bytes with their own ETags.

In: nothing but the files beside this one. Out: answers. The pages' scripts read this server's JSON and write only text
nodes, so nothing that comes from outside can become markup; their CSP allows no other source of anything.
"""

from pathlib import Path
from typing import Final

from claim_api.answer import API_CSP, JSON, PAGE_CSP, Answer
from claim_api.errors import ApiError
from claim_api.openapi import document_bytes
from claim_api.page.static import CLAIM_PATHS, KINDS, claim_pages, page
from claim_api.request import Request

FOLDER: Final = Path(__file__).parent
CACHE: Final = b"public, max-age=300"
_FILES: Final = {
    "/docs": "docs.html",
    "/docs/docs.js": "docs.js",
    "/docs/docs.css": "docs.css",
}


class StaticPages:
    """Read once; / leads to /docs."""

    def __init__(self) -> None:
        self._pages = {
            path: page((FOLDER / name).read_bytes(), KINDS[Path(name).suffix], PAGE_CSP, CACHE)
            for path, name in _FILES.items()
        } | claim_pages()
        self._pages["/openapi.json"] = page(document_bytes(), JSON, API_CSP, CACHE)
        to_docs = Answer(307, [(b"location", b"/docs"), (b"content-length", b"0"), (b"cache-control", CACHE)], b"")
        self._pages["/"] = self._pages["/docs/"] = to_docs

    async def page(self, request: Request) -> Answer:
        """Raises ApiError 404 for a path that nothing here has."""
        found = self._pages.get(request.path)
        if found is None:
            raise ApiError(404, "unknown_path", "nothing here has this path", "see /docs for what there is")
        # The way back from Twitch and links of others bring queries; the page itself reads what it knows of them.
        if request.path not in CLAIM_PATHS:
            request.query(())
        return found
