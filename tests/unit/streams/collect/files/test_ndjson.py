"""JSON lines in their three forms."""

import json
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from streams.collect.files.ndjson import read_event
from streams.collect.files.source import open_source
from streams.collect.irc import Malformed
from streams.collect.twitch import Event, derived_id

UUID = "0123abcd-4567-89ef-0123-456789abcdef"
ID = bytes.fromhex(UUID.replace("-", ""))
AT = 1_767_225_600_123
OURS = {"channel": "twitch:id:7", "channel_login": "Chan", "at_ms": AT, "id": UUID, "kind": "sub"} | {
    "viewer": "twitch:id:5",
    "login": "Ann",
    "amount": 3,
}
ORIGINAL = {"ts": AT, "type": "message", "channel": "#Chan", "user": "Ann", "ircId": UUID, "text": "words"}
GENERATED = {"ts_ms": AT, "channel": "ch_01", "user_id": 5, "login": "user_5", "kind": "message", "text": "words"}


def event(base: dict[str, Any], **changed: Any) -> Event:
    return read_event(json.dumps({k: v for k, v in (base | changed).items() if v is not ...}).encode())


def test_our_form_gives_every_column() -> None:
    assert event(OURS) == Event("twitch:id:7", "chan", AT, ID, 1, "twitch:id:5", "ann", 3)
    assert event(OURS, id=UUID.replace("-", ""), kind=4).id == ID
    assert event(OURS, kind=4).kind == 4
    assert event(OURS, id="odd").id == blake3(b"odd").digest()[:16]
    assert event(OURS, id=...).id is None


def test_our_form_takes_logins_for_identities() -> None:
    found = event(OURS, channel="#Chan", channel_login=..., viewer=..., amount=...)
    assert (found.channel, found.viewer, found.amount) == ("twitch:login:chan", "twitch:login:ann", 0)
    assert event(OURS, viewer="twitch:login:bob", login=...).login == "bob"
    assert event(OURS, channel_login=...).channel_login == "7"


@pytest.mark.parametrize(
    ("changed", "kind", "user", "amount"),
    [
        ({}, 0, "ann", 0),
        ({"type": "cheer", "bits": 100}, 0, "ann", 100),
        ({"type": "message", "bits": 7}, 0, "ann", 7),
        ({"type": "SUB"}, 1, "ann", 0),
        ({"type": "resub", "count": 12}, 2, "ann", 0),
        ({"type": "subgift", "targetUser": "bob"}, 3, "ann", 0),
        ({"type": "gift", "count": 1}, 3, "ann", 0),
        ({"type": "gift", "count": 5}, 5, "ann", 0),
        ({"type": "submysterygift", "count": 5}, 5, "ann", 0),
        ({"type": "raid", "count": 321}, 4, "ann", 321),
        ({"type": "usernotice", "msgId": "resub"}, 2, "ann", 0),
        ({"type": "usernotice", "msgId": "announcement"}, 5, "ann", 0),
        ({"type": "usernotice", "msgId": "who knows"}, 5, "ann", 0),
        ({"type": "timeout", "targetUser": "Bob"}, 6, "bob", 0),
        ({"type": "ban", "user": "bob"}, 6, "bob", 0),
        ({"type": "clearmsg", "targetUser": "bob"}, 7, "bob", 0),
    ],
)
def test_the_original_collectors_form(changed: dict[str, Any], kind: int, user: str, amount: int) -> None:
    assert event(ORIGINAL, **changed) == Event(
        "twitch:login:chan", "chan", AT, ID, kind, f"twitch:login:{user}", user, amount
    )


def test_the_original_collectors_id_is_irc_id_or_a_uuid_in_msg_id_or_derived() -> None:
    assert event(ORIGINAL, ircId=..., msgId=UUID).id == ID
    assert event(ORIGINAL, ircId=..., msgId="resub").id is None
    assert event(ORIGINAL, ircId=None, msgId=None).id is None


@pytest.mark.parametrize(
    ("ts", "at_ms"),
    [
        ("2026-01-01T00:00:00.123Z", AT),
        ("2026-01-01T00:00:00.123", AT),
        ("2026-01-01T02:00:00.123999+02:00", AT),
        (float(AT), AT),
        ("2026-01-01", AT - 123),
    ],
)
def test_the_original_collectors_time_is_ms_or_iso(ts: Any, at_ms: int) -> None:
    assert event(ORIGINAL, ts=ts).at_ms == at_ms


def test_generated_load() -> None:
    assert event(GENERATED) == Event("twitch:login:ch_01", "ch_01", AT, None, 0, "twitch:id:5", "user_5", 0)
    assert [event(GENERATED, kind=k).kind for k in ("message", "sub", "gift", "raid", "bits")] == [0, 1, 3, 4, 0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b'{"channel":"c","more":' + b"[" * 60_000, "nested too deeply"),
        (b'{"channel":"c","ts":1e999,"type":"message","user":"a"}', "not a JSON object|not whole"),
        (json.dumps(OURS).encode() * 2, "not a JSON object"),
        (b'{"channel":"\xff","at_ms":1}', "not a JSON object"),
        (json.dumps(OURS | {"at_ms": str(AT)}).encode(), "not a JSON object"),
        (json.dumps(OURS | {"at_ms": 10**30}).encode(), "not a JSON object|time is not"),
        (json.dumps({"channel": "x"}).encode(), "none of at_ms, ts and ts_ms"),
        (json.dumps(OURS | {"at_ms": 5}).encode(), "time is not in 2011..2099"),
        (json.dumps(OURS | {"kind": "dance"}).encode(), "kind is unknown"),
        (json.dumps(OURS | {"kind": 8}).encode(), "kind is unknown"),
        (json.dumps(OURS | {"amount": 2**32}).encode(), "amount does not fit"),
        (json.dumps(OURS | {"amount": -1}).encode(), "amount does not fit"),
        (json.dumps(OURS | {"channel": "twitch:id:x"}).encode(), "channel is not an identity"),
        (json.dumps(OURS | {"viewer": "twitch:login:Ann"}).encode(), "viewer is not an identity in lowercase"),
        (json.dumps(OURS | {"login": "two words"}).encode(), "user login is not a login"),
        (json.dumps(OURS | {"login": None}).encode(), "user has no login"),
        (json.dumps(OURS | {"id": "\ud800"}).encode(), "not a JSON object|not Unicode"),
        (json.dumps(ORIGINAL | {"ts": "yesterday"}).encode(), "ts is not ISO 8601"),
        (json.dumps(ORIGINAL | {"ts": AT + 0.5}).encode(), "ts is not whole milliseconds"),
        (json.dumps(ORIGINAL | {"ts": "0001-01-01T00:00:00+14:00"}).encode(), "time is not in|ISO"),
        (json.dumps(GENERATED | {"user_id": -5}).encode(), "user_id is not a number"),
        (json.dumps(GENERATED | {"user_id": 10**20}).encode(), "viewer is not an identity"),
    ],
)
def test_what_is_not_of_a_form_is_malformed(line: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_event(line)


def test_a_file_may_mix_forms_and_bad_lines_and_ids_are_derived_from_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    lines = [
        json.dumps(GENERATED).encode(),
        json.dumps(OURS).encode(),
        b"{not json}",
        b"",
        json.dumps(GENERATED).encode(),
    ]
    path.write_bytes(b"\r\n".join(lines) + b"\n")
    (chunk,) = open_source(path)
    assert [(d.line_number, d.length) for d in chunk.dead] == [(3, 10)]
    assert chunk.counts == {"events": 3, "malformed": 1, "blank_lines": 1}
    ids = [row.tobytes() for row in chunk.channels["twitch:login:ch_01"][1].ids]
    assert ids == [derived_id(lines[0], 0), derived_id(lines[0], 1)]
