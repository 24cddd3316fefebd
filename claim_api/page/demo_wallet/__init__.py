"""The demo wallet: a script that offers a wallet to the claim page, for a newcomer on a local chain.

In: the claim page's own index. Out: a part of the API that serves the script, and the index with one tag more. Without
this part neither exists: a real site has no trace of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from blake3 import blake3

from claim_api.answer import PAGE_CSP, Answer, tagged
from claim_api.request import Request
from claim_api.routing import Route
from schemas.errors import TwzrdError

SCRIPT: Final = Path(__file__).with_name("demo_wallet.js")
INDEX: Final = Path(__file__).parents[1] / "claim" / "index.html"
PATHS: Final = ("claim", "claim-v2")
SCRIPT_PATH: Final = "claim/demo-wallet.js"
TAG: Final = b'<script defer src="/claim/demo-wallet.js"></script>\n'
HEAD_END: Final = b"</head>"
NO_CACHE: Final = b"no-cache"


class DemoWalletError(TwzrdError):
    """The demo wallet may not be offered here."""


class DemoWallet:
    """The part. Raises DemoWalletError where claims are paid on anything but a localnet."""

    def __init__(self, cluster: str, index: Path = INDEX) -> None:
        if cluster != "localnet":
            raise DemoWalletError(
                f"TWZRD_DEMO_WALLET=on offers a wallet that is none, and claims are paid on {cluster}; unset it"
            )
        self._script = _page(SCRIPT.read_bytes(), b"text/javascript; charset=utf-8")
        self._index = _page(with_wallet(index.read_bytes()), b"text/html; charset=utf-8")

    def routes(self) -> Sequence[Route]:
        """The script, and the page in the place of the page without it."""
        pages = [Route("page", path, {"GET": self.page}) for path in PATHS]
        return [Route("page", SCRIPT_PATH, {"GET": self.script}), *pages]

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""

    async def script(self, request: Request) -> Answer:
        """GET /claim/demo-wallet.js."""
        request.query(())
        return self._script

    async def page(self, request: Request) -> Answer:
        """GET /claim; the page itself reads what its query says."""
        return self._index


def with_wallet(index: bytes) -> bytes:
    """The page with the wallet's tag last in its head. Raises DemoWalletError."""
    before, end, after = index.partition(HEAD_END)
    if not end:
        raise DemoWalletError("the claim page has no end of its head; the demo wallet's tag has no place")
    return before + TAG + end + after


def _page(body: bytes, kind: bytes) -> Answer:
    return tagged(body, b'"%s"' % blake3(body).hexdigest()[:32].encode(), NO_CACHE, kind, PAGE_CSP)
