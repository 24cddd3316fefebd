"""Envelopes that break a rule are refused whole, with an error that names the record and the mend."""

from typing import Any

import msgspec
import pytest

from schemas import envelope as envelopes
from schemas.errors import SchemaError, UnknownVersion

T = 1_767_225_600_000
GOOD: list[Any] = [
    1,
    "events",
    "twitch:id:1",
    "a",
    "s",
    0,
    [T, T + 1000, "live"],
    [["twitch:id:7", "ann"]],
    T.to_bytes(8, "little"),
    bytes(16),
    b"\0",
    b"\0\0",
    b"\0\0\0\0",
]


def packed(**changes: Any) -> bytes:
    names = [
        "v",
        "type",
        "channel",
        "login",
        "source",
        "seq",
        "observed",
        "viewers",
        "at",
        "ids",
        "kind",
        "who",
        "amount",
    ]
    record = list(GOOD)
    for name, value in changes.items():
        record[names.index(name)] = value
    return msgspec.msgpack.encode(record)


def taken(data: bytes) -> None:
    envelopes.decode(data).columns()


def test_the_good_one_is_taken() -> None:
    taken(packed())


def test_a_newer_version_is_named_as_such() -> None:
    with pytest.raises(UnknownVersion, match="version 2 is newer"):
        taken(packed(v=2))
    with pytest.raises(UnknownVersion, match="version 9"):
        taken(msgspec.msgpack.encode([9, {"another": "form"}]))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"v": 0}, "version 0"),
        ({"type": "other"}, "type|Invalid enum"),
        ({"channel": "#chan"}, "identity '#chan'"),
        ({"channel": "twitch:id:x"}, "identity"),
        ({"at": bytes(16)}, "8, 16, 2 and 4"),
        ({"at": bytes(7)}, "8, 16, 2 and 4"),
        ({"ids": bytes(15)}, "8, 16, 2 and 4"),
        ({"who": b"\0"}, "8, 16, 2 and 4"),
        ({"amount": b""}, "8, 16, 2 and 4"),
        ({"kind": b"\0\0"}, "8, 16, 2 and 4"),
        ({"kind": b"\x08"}, "kind 8"),
        ({"who": b"\1\0"}, "viewer 1 of 1"),
        ({"viewers": []}, "viewer 0 of 0"),
        ({"viewers": [["twitch:id:7"]]}, "does not decode"),
        ({"at": (1_293_839_999_999).to_bytes(8, "little")}, "2011"),
        ({"at": (4_102_444_800_000).to_bytes(8, "little")}, "2099"),
        ({"observed": [T, T, "live"]}, "rising interval"),
        ({"observed": [T, T - 1, "live"]}, "rising interval"),
        ({"observed": [T, T + 32 * 86_400_000, "absent"]}, "at most"),
        ({"observed": [T, T + 1, "seen"]}, "does not decode"),
        ({"observed": [0, 1, "live"]}, "2011"),
        ({"type": "tick"}, "bears events"),
        ({"type": "reseal", "observed": None}, "bears events"),
        ({"seq": "0"}, "does not decode"),
        ({"seq": 0.0}, "does not decode"),
        ({"channel": "twitch:login:a\0"}, r"U\+0000"),
        ({"login": "a\0"}, r"login bears U\+0000"),
        ({"viewers": [["twitch:id:7", "a\0"]]}, r"login bears U\+0000"),
        ({"viewers": [["twitch:login:a\0", "a"]]}, r"U\+0000"),
        ({"viewers": [["twitch:id:7", "ann"], ["twitch:id:x", "bob"]]}, "identity 'twitch:id:x'"),
        ({"viewers": {}}, "msgpack array"),
    ],
)
def test_a_broken_rule_is_named(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(SchemaError, match=named):
        taken(packed(**changes))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"junk", bytes(100), packed()[:-1], packed() + b"\0"])
def test_bytes_that_are_no_envelope_are_refused(data: bytes) -> None:
    with pytest.raises(SchemaError):
        taken(data)


def test_one_element_more_is_another_form_and_refused() -> None:
    with pytest.raises(SchemaError, match="does not decode"):
        taken(msgspec.msgpack.encode([*GOOD, "more"]))


def test_a_long_login_whose_length_has_a_zero_byte_is_taken() -> None:
    taken(packed(viewers=[["twitch:id:7", "a" * 256]]))


def test_without_check_viewers_their_identities_wait_for_who_interns_them() -> None:
    envelope = envelopes.decode(packed(viewers=[["twitch:id:x", "bob"]]), check_viewers=False)
    with pytest.raises(SchemaError, match="identity 'twitch:id:x'"):
        envelope.check_viewers()


def test_too_many_bytes_are_refused_before_they_are_read() -> None:
    with pytest.raises(SchemaError, match="over the bound"):
        envelopes.decode(bytes(envelopes.MAX_BYTES + 1))
