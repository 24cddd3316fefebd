"""What anybody may read: channels, sealed epochs, proofs, streams. Paths and schemas."""

from typing import Final

from claim_api.openapi.shapes import (
    DIGITS,
    HEX32,
    INT,
    TEXT,
    Json,
    answers,
    fields,
    get,
    json_of,
    listed,
    nullable,
    parameter,
    ref,
)

_SUMMARY: Final[Json] = {
    "channel": {**TEXT, "description": "Identity: twitch:id:<digits> or twitch:login:<login>"},
    "login": {**TEXT, "description": "The channel's login when the hour was sealed"},
    "epoch_start_s": {**INT, "description": "Seconds since 1970, UTC"},
    "epoch_length_s": INT,
    "revision": {**INT, "description": "0, or higher where late events made a new seal"},
    "leaf_count": {**INT, "description": "Participants"},
    "total_weight_centi": {**DIGITS, "description": "Hundredths of weight"},
    "total_messages": INT,
    "observed_ms": {**INT, "description": "Milliseconds of the hour that were seen, live or recovered"},
    "absent_ms": {**INT, "description": "Milliseconds declared missed"},
    "root": {**HEX32, "description": "Root of the evidence tree, blake3"},
    "seal_hash": {**HEX32, "description": "blake3 of the canonical header"},
}
_DETAIL: Final[Json] = {
    **_SUMMARY,
    "policy_hash": HEX32,
    "input_digest": {**HEX32, "description": "blake3 of the folded event ids, sorted"},
    "coverage": listed({**listed({}), "description": "[from_ms, to_ms, live | recovered | absent]"}),
    "coverage_hash": HEX32,
    "pepper_commit": HEX32,
    "seal": {**TEXT, "description": "Canonical header, hex"},
    "policy": {"type": "object", "description": "The policy in force, canonical JSON"},
}
_NEIGHBOUR: Final = fields(leaf={**TEXT, "description": "96 bytes, hex"}, path=listed(HEX32))
_PROOF_ENDS: Final[Json] = {
    "seal": {**TEXT, "description": "Canonical header, hex"},
    "policy": {"type": "object"},
    "viewer": nullable(fields(identity=TEXT, epoch_key=HEX32)),
    "log": {"type": "null"},
    "checkpoint": {"type": "null"},
}
_COUNTS: Final[Json] = {"type": "object", "additionalProperties": INT}
_HEALTH: Final[Json] = {
    "status": {"enum": ["ready", "degraded"]},
    "reasons": {**listed(TEXT), "description": "Why not all is well, and what to do"},
    "stream_clients": INT,
}
_HEALTH_WHERE_KNOWN: Final[Json] = {
    "newest_seal_id": INT,
    "newest_seal_age_s": {**nullable(INT), "description": "Since the end of the newest sealed hour"},
    "stopped_channels": {**listed(TEXT), "description": "The first ten that wait for an operator's ruling"},
    "projections": {**_COUNTS, "description": "Records that each has applied"},
    "projection_lag_records": {**_COUNTS, "description": "Records that each has still to apply"},
}
SCHEMAS: Final[Json] = {
    "Error": fields(code=TEXT, message=TEXT, mend={**TEXT, "description": "What to do about it"}),
    "Channel": fields(
        channel=TEXT,
        login=TEXT,
        first_epoch_s=INT,
        last_epoch_s=INT,
        seals=INT,
        stopped={"type": "boolean", "description": "Two roots for one seal were met; an operator must rule"},
    ),
    "Channels": fields(channels=listed(ref("Channel")), next_after=nullable(TEXT)),
    "EpochSummary": fields(**_SUMMARY),
    "Epochs": fields(channel=TEXT, epochs=listed(ref("EpochSummary")), next_before=nullable(INT)),
    "Epoch": fields(**_DETAIL),
    "Presence": fields(v={"const": 1}, kind={"const": "presence"}, **_NEIGHBOUR["properties"], **_PROOF_ENDS),
    "Absence": fields(
        v={"const": 1},
        kind={"const": "absence"},
        viewer_ref=HEX32,
        left=nullable(_NEIGHBOUR),
        right=nullable(_NEIGHBOUR),
        **_PROOF_ENDS,
    ),
    "Viewer": fields(
        viewer=TEXT,
        entitlement_base_units=DIGITS,
        logins=listed(fields(login=TEXT, first_seen_ms=INT, last_seen_day=TEXT)),
        epochs=listed(
            fields(
                seal_id=INT,
                channel=TEXT,
                login=TEXT,
                epoch_start_s=INT,
                revision=INT,
                leaf_index=INT,
                leaf_count=INT,
                weight_centi=DIGITS,
                increase_base_units=DIGITS,
            )
        ),
        next_before=nullable(INT),
    ),
    "Health": {"type": "object", "required": list(_HEALTH), "properties": {**_HEALTH, **_HEALTH_WHERE_KNOWN}},
}

CHANNEL: Final = parameter("c", "path", "Channel: login or identity", TEXT, "twitch:id:22484632")
START: Final = parameter("t", "path", "Start of the epoch, seconds since 1970, UTC", INT, 1760000400)
REVISION: Final = parameter("revision", "query", "This revision; without it the newest", INT)
LIMIT: Final = parameter("limit", "query", "Rows, 1 to 1000", {"type": "integer", "minimum": 1, "maximum": 1000})


PATHS: Final[Json] = {
    "/v1/channels": get(
        "Channels with sealed epochs",
        "By identity ascending. next_after, given back as after, asks for the following page.",
        [parameter("after", "query", "Identity after which to begin", TEXT), LIMIT],
        answers(json_of("Channels"), 400, 503),
    ),
    "/v1/channels/{c}/epochs": get(
        "Epochs of a channel",
        "Newest first, each in its newest revision. next_before, given back as before, asks for the following page.",
        [CHANNEL, parameter("before", "query", "Only epochs that start before this second", INT), LIMIT],
        answers(json_of("Epochs"), 400, 404, 503),
    ),
    "/v1/epochs/latest": get(
        "The newest hour",
        "The latest hour that any channel has sealed, in its newest revision.",
        [],
        answers(json_of("EpochSummary"), 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}": get(
        "One sealed epoch",
        "Everything that the seal's hash covers. With revision it never changes: ETag and immutable.",
        [CHANNEL, START, REVISION],
        answers(json_of("Epoch"), 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}/leaves": get(
        "Leaf dump",
        "All leaf preimages in order of index, 96 bytes each, zstd. Names nobody; `twzrd verify` recomputes the root.",
        [CHANNEL, START, REVISION],
        answers({"application/zstd": {"schema": {"type": "string", "format": "binary"}}}, 400, 404, 503),
    ),
    "/v1/epochs/{c}/{t}/proof": get(
        "Proof of presence or absence",
        "A bundle that `twzrd verify bundle.json` checks offline. ref and index are public; viewer takes the "
        "operator's key. Give one of the three.",
        [
            CHANNEL,
            START,
            parameter("ref", "query", "viewer_ref, 64 hex digits", HEX32),
            parameter("viewer", "query", "Identity or login, with the operator's key", TEXT),
            parameter("index", "query", "Index of a leaf", INT),
            REVISION,
        ],
        answers(
            {"application/json": {"schema": {"oneOf": [ref("Presence"), ref("Absence")]}}},
            *(400, 401, 403, 404, 501, 503),
        ),
    ),
    "/v1/viewers/{v}": get(
        "Everything of one viewer",
        "Newest seal first, all revisions. Amounts in base units. Private.",
        [
            parameter("v", "path", "Viewer: identity or login", TEXT, "twitch:id:1000"),
            parameter("before", "query", "Only seals with a lower seal_id", INT),
            LIMIT,
        ],
        answers(json_of("Viewer"), 400, 401, 403, 404, 501, 503),
        private=True,
    ),
    "/v1/stream": get(
        "Seals and live boards as they come",
        "Server-sent events: `seal` (its id resumes the stream by Last-Event-ID) and `board` (newest state of a "
        "channel's open hour). Without Last-Event-ID it begins now.",
        [
            parameter("channel", "query", "Only this channel: login or identity", TEXT),
            parameter("after", "query", "Begin after this seal_id, as Last-Event-ID", INT),
            parameter("Last-Event-ID", "header", "Begin after this event", INT),
        ],
        answers({"text/event-stream": {"schema": TEXT}}, 400, 404, 429, 503),
    ),
    "/health": get(
        "Whether all is well",
        "200 while proofs can be given; reasons say what is not well.",
        [],
        answers(json_of("Health"), 503),
    ),
    "/metrics": get("Prometheus metrics", "Text format 0.0.4.", [], answers({"text/plain": {"schema": TEXT}})),
    "/openapi.json": get("This description", "OpenAPI 3.1.", [], answers({"application/json": {"schema": {}}})),
}
