"""The API's description as OpenAPI 3.1, from which the docs page is drawn. A test holds it to the routes of app.py."""

from typing import Any, Final

import orjson

VERSION: Final = "1"
Json = dict[str, Any]

_HEX32: Final = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
_DIGITS: Final = {"type": "string", "pattern": "^[0-9]+$"}
_INT: Final = {"type": "integer", "minimum": 0}
_TEXT: Final = {"type": "string"}


def _object(**fields: Json) -> Json:
    return {"type": "object", "required": list(fields), "properties": fields}


def _list(of: Json) -> Json:
    return {"type": "array", "items": of}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _nullable(of: Json) -> Json:
    return {"anyOf": [of, {"type": "null"}]}


def _parameter(name: str, where: str, description: str, schema: Json, example: Any = None) -> Json:
    found = {"name": name, "in": where, "description": description, "required": where == "path", "schema": schema}
    return found if example is None else {**found, "example": example}


_SUMMARY: Final[Json] = {
    "channel": {**_TEXT, "description": "Identity: twitch:id:<digits> or twitch:login:<login>"},
    "login": {**_TEXT, "description": "The channel's login when the hour was sealed"},
    "epoch_start_s": {**_INT, "description": "Seconds since 1970, UTC"},
    "epoch_length_s": _INT,
    "revision": {**_INT, "description": "0, or higher where late events made a new seal"},
    "leaf_count": {**_INT, "description": "Participants"},
    "total_weight_centi": {**_DIGITS, "description": "Hundredths of weight"},
    "total_messages": _INT,
    "observed_ms": {**_INT, "description": "Milliseconds of the hour that were seen, live or recovered"},
    "absent_ms": {**_INT, "description": "Milliseconds declared missed"},
    "root": {**_HEX32, "description": "Root of the evidence tree, blake3"},
    "seal_hash": {**_HEX32, "description": "blake3 of the canonical header"},
}
_DETAIL: Final[Json] = {
    **_SUMMARY,
    "policy_hash": _HEX32,
    "input_digest": {**_HEX32, "description": "blake3 of the folded event ids, sorted"},
    "coverage": _list({**_list({}), "description": "[from_ms, to_ms, live | recovered | absent]"}),
    "coverage_hash": _HEX32,
    "pepper_commit": _HEX32,
    "seal": {**_TEXT, "description": "Canonical header, hex"},
    "policy": {"type": "object", "description": "The policy in force, canonical JSON"},
}
_NEIGHBOUR: Final = _object(leaf={**_TEXT, "description": "96 bytes, hex"}, path=_list(_HEX32))
_PROOF_ENDS: Final[Json] = {
    "seal": {**_TEXT, "description": "Canonical header, hex"},
    "policy": {"type": "object"},
    "viewer": _nullable(_object(identity=_TEXT, epoch_key=_HEX32)),
    "log": {"type": "null"},
    "checkpoint": {"type": "null"},
}
_SCHEMAS: Final[Json] = {
    "Error": _object(code=_TEXT, message=_TEXT, mend={**_TEXT, "description": "What to do about it"}),
    "Channel": _object(
        channel=_TEXT,
        login=_TEXT,
        first_epoch_s=_INT,
        last_epoch_s=_INT,
        seals=_INT,
        stopped={"type": "boolean", "description": "Two roots for one seal were met; an operator must rule"},
    ),
    "Channels": _object(channels=_list(_ref("Channel")), next_after=_nullable(_TEXT)),
    "EpochSummary": _object(**_SUMMARY),
    "Epochs": _object(channel=_TEXT, epochs=_list(_ref("EpochSummary")), next_before=_nullable(_INT)),
    "Epoch": _object(**_DETAIL),
    "Presence": _object(v={"const": 1}, kind={"const": "presence"}, **_NEIGHBOUR["properties"], **_PROOF_ENDS),
    "Absence": _object(
        v={"const": 1},
        kind={"const": "absence"},
        viewer_ref=_HEX32,
        left=_nullable(_NEIGHBOUR),
        right=_nullable(_NEIGHBOUR),
        **_PROOF_ENDS,
    ),
    "Viewer": _object(
        viewer=_TEXT,
        entitlement_base_units=_DIGITS,
        logins=_list(_object(login=_TEXT, first_seen_ms=_INT, last_seen_day=_TEXT)),
        epochs=_list(
            _object(
                seal_id=_INT,
                channel=_TEXT,
                login=_TEXT,
                epoch_start_s=_INT,
                revision=_INT,
                leaf_index=_INT,
                leaf_count=_INT,
                weight_centi=_DIGITS,
                increase_base_units=_DIGITS,
            )
        ),
        next_before=_nullable(_INT),
    ),
    "Health": _object(status={"enum": ["ready", "degraded"]}, reasons=_list(_TEXT)),
}

_CHANNEL: Final = _parameter("c", "path", "Channel: login or identity", _TEXT, "twitch:id:22484632")
_START: Final = _parameter("t", "path", "Start of the epoch, seconds since 1970, UTC", _INT, 1760000400)
_REVISION: Final = _parameter("revision", "query", "This revision; without it the newest", _INT)
_LIMIT: Final = _parameter("limit", "query", "Rows, 1 to 1000", {"type": "integer", "minimum": 1, "maximum": 1000})


def _answers(content: Json, *statuses: int) -> Json:
    texts = {
        400: "Malformed",
        401: "No operator key given",
        403: "Not the operator's key",
        404: "Not known",
        429: "Too many streams",
        501: "Not set up on this server",
        503: "Database away, or a bound reached",
    }
    error = {"application/json": {"schema": _ref("Error")}}
    found: Json = {"200": {"description": "OK", "content": content}}
    return found | {str(status): {"description": texts[status], "content": error} for status in statuses}


def _json(name: str) -> Json:
    return {"application/json": {"schema": _ref(name)}}


def _get(summary: str, description: str, parameters: list[Json], responses: Json, *, private: bool = False) -> Json:
    found: Json = {"summary": summary, "description": description, "parameters": parameters, "responses": responses}
    return {"get": {**found, "security": [{"operator": []}]} if private else found}


_PATHS: Final[Json] = {
    "/v1/channels": _get(
        "Channels with sealed epochs",
        "By identity ascending. next_after, given back as after, asks for the following page.",
        [_parameter("after", "query", "Identity after which to begin", _TEXT), _LIMIT],
        _answers(_json("Channels"), 400, 503),
    ),
    "/v1/channels/{c}/epochs": _get(
        "Epochs of a channel",
        "Newest first, each in its newest revision. next_before, given back as before, asks for the following page.",
        [_CHANNEL, _parameter("before", "query", "Only epochs that start before this second", _INT), _LIMIT],
        _answers(_json("Epochs"), 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}": _get(
        "One sealed epoch",
        "Everything that the seal's hash covers. With revision it never changes: ETag and immutable.",
        [_CHANNEL, _START, _REVISION],
        _answers(_json("Epoch"), 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}/leaves": _get(
        "Leaf dump",
        "All leaf preimages in order of index, 96 bytes each, zstd. Names nobody; `twzrd verify` recomputes the root.",
        [_CHANNEL, _START, _REVISION],
        _answers({"application/zstd": {"schema": {"type": "string", "format": "binary"}}}, 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}/proof": _get(
        "Proof of presence or absence",
        "A bundle that `twzrd verify bundle.json` checks offline. ref is public; viewer takes the operator's key.",
        [
            _CHANNEL,
            _START,
            _parameter("ref", "query", "viewer_ref, 64 hex digits", _HEX32),
            _parameter("viewer", "query", "Identity or login, with the operator's key", _TEXT),
            _REVISION,
        ],
        _answers(
            {"application/json": {"schema": {"oneOf": [_ref("Presence"), _ref("Absence")]}}},
            *(400, 401, 403, 404, 501, 503),
        ),
    ),
    "/v1/viewers/{v}": _get(
        "Everything of one viewer",
        "Newest seal first, all revisions. Amounts in base units. Private.",
        [
            _parameter("v", "path", "Viewer: identity or login", _TEXT, "twitch:id:1000"),
            _parameter("before", "query", "Only seals with a lower seal_id", _INT),
            _LIMIT,
        ],
        _answers(_json("Viewer"), 400, 401, 403, 404, 501, 503),
        private=True,
    ),
    "/v1/stream": _get(
        "Seals and live boards as they come",
        "Server-sent events: `seal` (its id resumes the stream by Last-Event-ID) and `board` (newest state of a "
        "channel's open hour). Without Last-Event-ID it begins now.",
        [
            _parameter("channel", "query", "Only this channel: login or identity", _TEXT),
            _parameter("after", "query", "Begin after this seal_id, as Last-Event-ID", _INT),
            _parameter("Last-Event-ID", "header", "Begin after this event", _INT),
        ],
        _answers({"text/event-stream": {"schema": _TEXT}}, 400, 404, 429, 503),
    ),
    "/health": _get(
        "Whether all is well",
        "200 while proofs can be given; reasons say what is not well.",
        [],
        _answers(_json("Health"), 503),
    ),
    "/metrics": _get("Prometheus metrics", "Text format 0.0.4.", [], _answers({"text/plain": {"schema": _TEXT}})),
    "/openapi.json": _get("This description", "OpenAPI 3.1.", [], _answers({"application/json": {"schema": {}}})),
}

DOCUMENT: Final[Json] = {
    "openapi": "3.1.0",
    "info": {
        "title": "twzrd",
        "version": VERSION,
        "description": "Sealed, provable hours of Twitch chat. Weights and amounts are strings of digits, hashes are "
        "lowercase hex. Errors are JSON: code, message, mend.",
    },
    "paths": _PATHS,
    "components": {
        "schemas": _SCHEMAS,
        "securitySchemes": {"operator": {"type": "http", "scheme": "bearer", "description": "The operator's key"}},
    },
}


def document_bytes() -> bytes:
    """The document as JSON."""
    return orjson.dumps(DOCUMENT)
