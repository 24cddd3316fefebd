"""A signed-in browser without the way through Twitch: a session begun in the database, and the headers it sends."""

from dataclasses import dataclass

from claim_api.identity.session_key import SessionKey
from claim_api.identity.sessions import Sessions, Viewer
from claim_api.part_counters import PartCounters
from claim_api.web_database import WebDatabase

SESSION_KEY = SessionKey([b"\x05" * 32])


@dataclass(frozen=True)
class SignedIn:
    """reading: headers of a GET; changing: of a POST from our own page."""

    viewer: Viewer
    reading: dict[str, str]
    changing: dict[str, str]


def sessions_on(database: WebDatabase, public_url: str) -> Sessions:
    """One process's sessions."""
    return Sessions(database, SESSION_KEY, public_url, PartCounters())


async def sign_in(sessions: Sessions, database: WebDatabase, viewer_key: int, login: str) -> SignedIn:
    """A new session of that viewer."""
    async with database.transaction() as connection:
        viewer, value = await sessions.begin(connection, viewer_key, login, login.title())
    reading = {"cookie": f"{sessions.cookie.name}={value}"}
    csrf = {"x-csrf-token": sessions.csrf_token(viewer), "origin": sessions.origin, "sec-fetch-site": "same-origin"}
    return SignedIn(viewer, reading, {**reading, **csrf})
