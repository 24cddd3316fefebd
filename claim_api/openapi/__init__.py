"""The API's description as OpenAPI 3.1, from which the docs page is drawn. A test holds it to the routes.

shapes          the words
seals           what anybody may read
claim_paths     the claim side; claim_schemas what it says
"""

from typing import Final

import orjson

from claim_api.openapi import claim_paths, claim_schemas, seals
from claim_api.openapi.shapes import Json

VERSION: Final = "1"
DOCUMENT: Final[Json] = {
    "openapi": "3.1.0",
    "info": {
        "title": "twzrd",
        "version": VERSION,
        "description": "Sealed, provable hours of Twitch chat. Weights and amounts are strings of digits, hashes are "
        "lowercase hex. Errors are JSON: code, message, mend.",
    },
    "paths": {**seals.PATHS, **claim_paths.PATHS},
    "components": {
        "schemas": {**seals.SCHEMAS, **claim_schemas.SCHEMAS},
        "securitySchemes": {
            "operator": {"type": "http", "scheme": "bearer", "description": "The operator's key"},
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "twzrd-session",
                "description": "From signing in; over https its name is __Host-twzrd-session",
            },
            "csrf": {
                "type": "apiKey",
                "in": "header",
                "name": "x-csrf-token",
                "description": "csrf of GET /v1/me, with the session, on whatever changes state",
            },
        },
    },
}


def document_bytes() -> bytes:
    """The document as JSON."""
    return orjson.dumps(DOCUMENT)
