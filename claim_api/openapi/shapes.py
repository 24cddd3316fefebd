"""The words in which the description is written: JSON schemas, parameters, answers, operations (OpenAPI 3.1)."""

from typing import Any, Final

Json = dict[str, Any]

HEX32: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
INT: Final = {"type": "integer", "minimum": 0}
TEXT: Final = {"type": "string"}
BOOL: Final = {"type": "boolean"}
TIME: Final = {"type": "string", "format": "date-time", "description": "ISO 8601, UTC"}
BASE64: Final = {"type": "string", "contentEncoding": "base64"}
WALLET: Final = {"type": "string", "description": "Solana address, base58 of 32 bytes"}

TEXTS: Final = {
    302: "To Twitch",
    303: "To the next page",
    400: "Malformed; message names the field",
    401: "Nobody is signed in, or no operator key is given",
    403: "From another page or without x-csrf-token (csrf), or not the operator's key",
    404: "Not known",
    408: "The body did not come in time",
    409: "It cannot be so now; code says why",
    413: "The body is over the bound",
    414: "The address is over the bound",
    415: "Not application/json",
    431: "The headers are over the bound",
    429: "Too many requests; see Retry-After",
    500: "The server failed, or what the original said with this status",
    501: "Not set up on this server",
    503: "Away, frozen, or a bound is reached; see Retry-After",
}
SESSION: Final[list[Json]] = [{"session": []}]
CHANGING: Final[list[Json]] = [{"session": [], "csrf": []}]
OPERATOR: Final[list[Json]] = [{"operator": []}]
EVERYWHERE: Final = (413, 414, 431, 503)
"""What any request may meet before its path is looked at."""


def fields(**named: Json) -> Json:
    """An object with all of these."""
    return {"type": "object", "required": list(named), "properties": named}


def listed(of: Json) -> Json:
    return {"type": "array", "items": of}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def nullable(of: Json) -> Json:
    return {"anyOf": [of, {"type": "null"}]}


def one_of(*texts: str) -> Json:
    return {"type": "string", "enum": list(texts)}


def parameter(name: str, where: str, description: str, schema: Json, example: Any = None) -> Json:
    found = {"name": name, "in": where, "description": description, "required": where == "path", "schema": schema}
    return found if example is None else {**found, "example": example}


def needed(name: str, description: str, schema: Json, example: Any = None) -> Json:
    """A field of the query that must be given."""
    return {**parameter(name, "query", description, schema, example), "required": True}


def json_of(name: str) -> Json:
    """The content of an answer: that schema."""
    return {"application/json": {"schema": ref(name)}}


def answers(content: Json | None, *statuses: int, good: int = 200, error: str = "Error") -> Json:
    """The good answer, those errors, and what any request may meet."""
    found: Json = {str(good): {"description": TEXTS.get(good, "OK")}}
    if content is not None:
        found[str(good)]["content"] = content
    for status in statuses:
        found[str(status)] = {"description": TEXTS[status], "content": json_of(error)}
    for status in EVERYWHERE:
        found.setdefault(str(status), {"description": TEXTS[status], "content": json_of("Error")})
    return found


def get(summary: str, description: str, parameters: list[Json], responses: Json, *, private: bool = False) -> Json:
    """A path that is read; private: with the operator's key."""
    return {"get": operation(summary, description, parameters, responses, OPERATOR if private else None)}


def operation(
    summary: str,
    description: str,
    parameters: list[Json],
    responses: Json,
    security: list[Json] | None = None,
    body: str | None = None,
) -> Json:
    """One method of a path. body: the schema of what is posted."""
    found: Json = {"summary": summary, "description": description, "parameters": parameters, "responses": responses}
    if security is not None:
        found["security"] = security
    if body is not None:
        found["requestBody"] = {"required": True, "content": json_of(body)}
    return found
