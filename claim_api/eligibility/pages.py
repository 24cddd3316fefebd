"""GET /v1/eligibility, its weeks, and /v1/me/proof: what the signed-in viewer has earned, and the proof of it.

In: requests with a session. Out: JSON of docs/claims.md, HTTP. Nothing is written: its connections cannot.
"""

import time
from collections.abc import Sequence
from typing import Final

import orjson

from claim_api.answer import Answer, answer, json_answer
from claim_api.eligibility.find import Finding
from claim_api.eligibility.kept import KeptPages
from claim_api.eligibility.shown import allocation_json, first_week_s, totals_json, weeks_json
from claim_api.epochs import MAX_REVISION, channel_name, epoch_start
from claim_api.errors import ApiError
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.index import LATEST
from claim_api.limits import Limits
from claim_api.part_counters import PartCounters
from claim_api.request import Request, whole
from claim_api.routing import OwnProofs, Route

MAX_SEAL_ID: Final = 2**31 - 1
DEFAULT_ROWS: Final = 100
MAX_ROWS: Final = 1000


class Eligibility:
    """See the module. finding is closed with it."""

    def __init__(self, finding: Finding, sessions: Sessions, limits: Limits, counters: PartCounters) -> None:
        self._finding, self._sessions, self._limits = finding, sessions, limits
        self._kept = KeptPages(counters)
        self._proofs: OwnProofs | None = None

    def prove_with(self, proofs: OwnProofs) -> None:
        """The API's own proofs."""
        self._proofs = proofs

    def routes(self) -> Sequence[Route]:
        """See docs/claims.md, HTTP."""
        return (
            Route("eligibility", "v1/eligibility", {"GET": self.allocations}),
            Route("eligibility_weeks", "v1/eligibility/weeks", {"GET": self.weeks}),
            Route("me_proof", "v1/me/proof", {"GET": self.proof}),
        )

    async def start(self) -> None:
        """Nothing to begin."""

    async def stop(self) -> None:
        """Ends look-ups under way."""
        await self._finding.close()

    async def allocations(self, request: Request) -> Answer:
        """Newest first; next_before asks for the following page."""
        fields = request.query(("before", "limit"))
        limit = whole("limit", fields["limit"], 1, MAX_ROWS) if "limit" in fields else DEFAULT_ROWS
        before = whole("before", fields["before"], 0, MAX_SEAL_ID) if "before" in fields else MAX_SEAL_ID
        viewer = await self._reading(request)
        key = viewer.viewer_key
        version = await self._finding.versions.find(key)
        body = await self._kept.page(
            (key, before, limit), version or (), lambda: self._page(viewer.identity, key, before, limit)
        )
        return answer(body)

    async def weeks(self, request: Request) -> Answer:
        """The last 26 weeks, oldest first."""
        request.query(())
        viewer = await self._reading(request)
        first_s = first_week_s(int(time.time()))
        return json_answer({"weeks": weeks_json(await self._finding.weeks(viewer.viewer_key, first_s), first_s)})

    async def proof(self, request: Request) -> Answer:
        """The viewer's own bundle, opened: presence, or absence where they took no part."""
        fields = request.query(("channel", "epoch", "revision"))
        for name in ("channel", "epoch"):
            if name not in fields:
                raise ApiError(400, "malformed", f"the query lacks {name}", "give channel and epoch")
        revision = whole("revision", fields["revision"], 0, MAX_REVISION) if "revision" in fields else LATEST
        start_s = epoch_start(fields["epoch"])
        viewer = await self._reading(request)
        assert self._proofs is not None, "the API gives it before start"
        return await self._proofs.opened(channel_name(fields["channel"]), start_s, revision, viewer.identity)

    async def _page(self, identity: str, viewer_key: int, before: int, limit: int) -> bytes:
        rows, totals = await self._finding.page(viewer_key, before, limit)
        return orjson.dumps(
            {
                "viewer": identity,
                "totals": totals_json(totals),
                "allocations": [allocation_json(row) for row in rows],
                "next_before": rows[-1]["seal_id"] if len(rows) == limit else None,
            }
        )

    async def _reading(self, request: Request) -> Viewer:
        viewer = await self._sessions.viewer(request)
        self._limits.take("read", viewer.session_hash.hex())
        return viewer
