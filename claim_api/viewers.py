"""Everything of one viewer, for the operator: logins over time, leaves in sealed epochs, what they add up to.

Private: never cached, only with the operator's key. Amounts in base units, as strings of digits.
"""

from claim_api.answer import Answer, json_answer
from claim_api.config import ApiConfig
from claim_api.epochs import channel_name
from claim_api.errors import ApiError
from claim_api.request import Request, page_rows, whole
from projections import read
from projections.read import Database

MAX_SEAL_ID = 2**31 - 1


class ViewerPages:
    """GET /v1/viewers/{identity}; a login stands for whoever bore it last."""

    def __init__(self, config: ApiConfig, database: Database) -> None:
        self._database, self._operator_key, self._bounds = database, config.operator_key, config.bounds

    async def viewer(self, request: Request, name: str) -> Answer:
        """Newest seal first; next_before asks for the following page."""
        request.check_operator(self._operator_key)
        name = channel_name(name)
        fields = request.query(("before", "limit"))
        limit = page_rows(fields, self._bounds)
        before = whole("before", fields["before"], 0, MAX_SEAL_ID) if "before" in fields else None
        viewer = name if name.startswith("twitch:") else await self._bearer(name)
        logins = await read.viewer_logins(self._database, viewer)
        epochs = await read.viewer_epochs(self._database, viewer, before, limit)
        if not logins and not epochs and before is None:
            raise _unknown_viewer(name)
        return json_answer(
            {
                "viewer": viewer,
                "entitlement_base_units": str(await read.entitlement_base_units(self._database, viewer)),
                "logins": [
                    {"login": one.login, "first_seen_ms": one.first_seen_ms, "last_seen_day": one.last_seen_day}
                    for one in logins
                ],
                "epochs": [
                    {
                        "seal_id": one.seal_id,
                        "channel": one.channel,
                        "login": one.login,
                        "epoch_start_s": one.epoch_start_s,
                        "revision": one.revision,
                        "leaf_index": one.leaf_index,
                        "leaf_count": one.leaf_count,
                        "weight_centi": str(one.weight_centi),
                        "increase_base_units": str(one.increase_base_units),
                    }
                    for one in epochs
                ],
                "next_before": epochs[-1].seal_id if len(epochs) == limit else None,
            }
        )

    async def _bearer(self, login: str) -> str:
        spans = await read.identities_of_login(self._database, login)
        if not spans:
            raise _unknown_viewer(login)
        return spans[0].identity


def _unknown_viewer(name: str) -> ApiError:
    return ApiError(
        404, "unknown_viewer", f"no viewer {name[:80]!r} is in any seal", "give an identity or a login that was seen"
    )
