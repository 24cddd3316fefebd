"""Records of `control`: strict on what goes in and on what comes out, bounded in every text."""

from dataclasses import dataclass

import msgspec
import pytest

from schemas import control
from schemas.errors import SchemaError, UnknownVersion

T = 1_767_225_600_000
WANTED = control.Wanted(1, "chan0", None, "operator", "ann", T, "")
OPTOUT = control.OptOut(1, "twitch:id:7", "ann", T, "")
STATE = control.ChannelState(1, "chan0", "1", "c", "joined", "", T, T, [])
RENAMED = control.Renamed(1, "chan0", "chan1", "1000", "host-1", T)
SNAPSHOT = control.Snapshot(1, "twitch:id:1", "chan0", T, 5, "t", "g", None)


@dataclass
class Bad:
    record: control.Record
    reason: str


BAD = [
    Bad(msgspec.structs.replace(WANTED, login="Chan0"), "login"),
    Bad(msgspec.structs.replace(WANTED, login="#chan0"), "login"),
    Bad(msgspec.structs.replace(WANTED, room_id="twitch:id:1"), "room id"),
    Bad(msgspec.structs.replace(WANTED, note="x" * 501), "501 characters"),
    Bad(msgspec.structs.replace(WANTED, by="x" * 101), "101 characters"),
    Bad(msgspec.structs.replace(WANTED, note="a\0b"), "U+0000"),
    Bad(msgspec.structs.replace(WANTED, at_ms=0), "no time"),
    Bad(msgspec.structs.replace(OPTOUT, viewer="ann"), "identity"),
    Bad(msgspec.structs.replace(OPTOUT, viewer="twitch:login:a\0"), "U+0000"),
    Bad(msgspec.structs.replace(STATE, state="Joined!"), "state"),
    Bad(msgspec.structs.replace(STATE, tried=[control.Attempt(T, "a", "b")] * 11), "11 attempts"),
    Bad(msgspec.structs.replace(STATE, tried=[control.Attempt(T, "a", "b" * 501)]), "501 characters"),
    Bad(msgspec.structs.replace(RENAMED, to="Chan1"), "login"),
    Bad(msgspec.structs.replace(RENAMED, login="#chan0"), "login"),
    Bad(msgspec.structs.replace(RENAMED, to="chan0"), "renamed to itself"),
    Bad(msgspec.structs.replace(RENAMED, room_id="twitch:id:1"), "room id"),
    Bad(msgspec.structs.replace(RENAMED, by="x" * 101), "101 characters"),
    Bad(msgspec.structs.replace(RENAMED, at_ms=0), "no time"),
    Bad(msgspec.structs.replace(SNAPSHOT, viewers=-1), "viewers"),
    Bad(msgspec.structs.replace(SNAPSHOT, started_at_ms=1), "no time"),
    Bad(msgspec.structs.replace(WANTED, v=0), "does not exist"),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: f"{type(bad.record).__name__}-{bad.reason}")
def test_what_fits_no_form_is_refused_on_both_sides(bad: Bad) -> None:
    with pytest.raises(SchemaError, match=bad.reason.replace("+", r"\+")):
        control.encode(bad.record)
    with pytest.raises(SchemaError, match=bad.reason.replace("+", r"\+")):
        control.decode(msgspec.msgpack.encode(bad.record))


def test_a_newer_record_is_told_apart_from_a_damaged_one() -> None:
    newer = msgspec.msgpack.encode(["wanted", 2, "chan0", "and", "more", "fields", "than", "we", "know"])
    with pytest.raises(UnknownVersion, match="version 2 is newer"):
        control.decode(newer)
    with pytest.raises(UnknownVersion):
        control.decode(msgspec.msgpack.encode(["sung", 2]))
    for damaged in (b"", b"\xc1", msgspec.msgpack.encode(["sung", 1]), control.encode(WANTED)[:-1], b"\x91" * 20_000):
        with pytest.raises(SchemaError) as caught:
            control.decode(damaged)
        assert not isinstance(caught.value, UnknownVersion)


def test_origins_speak_under_keys_of_their_own() -> None:
    found = msgspec.structs.replace(WANTED, origin="discovery")
    gone = control.Unwanted(1, "chan0", "discovery", "discovery", T, "")
    assert control.key(found) == control.key(gone) != control.key(WANTED)


def test_a_login_is_taken_as_people_write_it() -> None:
    assert control.login(" #Chan0 ") == control.login("@CHAN0") == "chan0"
    for bad in ("", "#", "a b", "é", "x" * 65, "twitch:id:7"):
        with pytest.raises(SchemaError, match="no Twitch login"):
            control.login(bad)


def test_foreign_text_is_cut_to_its_bound_and_made_storable() -> None:
    assert control.text("a\0b" + "x" * 600) == "a b" + "x" * 497
    control.encode(msgspec.structs.replace(SNAPSHOT, title=control.text("\ud800 half")))
