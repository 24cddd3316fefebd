"""Records of epoch.sealed that are not of their form are refused, a newer one by its version whatever it looks like."""

import msgspec
import pytest

from schemas import control, sealed
from schemas import text as texts
from schemas.errors import SchemaError, UnknownVersion
from schemas.sealed import Closed, ClosingWire, Known, Late, Part, Record, decode_record, encode_record, split_seal
from tests.hours import sealed_hour, viewers_of

T = 1_767_225_600_000
RECORDS: list[Record] = [
    Part(1, "twitch:id:1", 3600, 0, 0, b"x"),
    split_seal(sealed_hour(viewers_of(2)))[-1],
    Late(1, "twitch:id:1", "a", 3600, 5, 1),
    Closed(1, "twitch:id:1", "a", 3600, 7200, 9, "watermark", T, 0),
    Known(1, 5, 0, {"twitch:id:1": [ClosingWire(T, 1, None, 0)]}),
]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_another_form_or_version_is_refused(record: Record) -> None:
    fields = msgspec.msgpack.decode(encode_record(record))
    kind, _, *rest = fields

    def taken(*of: object) -> Record:
        return decode_record(msgspec.msgpack.encode(of))

    assert taken(*fields) == record
    for odd in ([*fields, 1], fields[:3], [kind, "1", *rest]):
        with pytest.raises(SchemaError, match="does not decode"):
            taken(*odd)
    with pytest.raises(SchemaError, match="version 0 does not exist"):
        taken(kind, 0, *rest)
    for newer in ([kind, 2, *rest], [kind, 7, {"another": "form"}]):
        with pytest.raises(UnknownVersion, match="newer"):
            taken(*newer)


def test_one_element_more_is_refused_in_control_text_and_bodies_too() -> None:
    wanted = control.encode(control.Heartbeat(1, "c", "running", T, T))
    line = texts.encode("twitch:id:1", "a", [texts.Line(bytes(16), T, "twitch:id:7", "ann", "hello")])
    for read, data in ((control.decode, wanted), (texts.decode, line)):
        fields = msgspec.msgpack.decode(data)
        with pytest.raises(SchemaError, match="does not decode"):
            read(msgspec.msgpack.encode([*fields, 1]))


def test_a_body_that_is_not_of_its_form_is_refused() -> None:
    blob = sealed.encode_body(sealed_hour(viewers_of(2)).body)
    for damaged in (blob[:-1], blob + b"\0", b"", b"junk"):
        with pytest.raises(SchemaError):
            sealed.decode_body(damaged)


def test_a_body_that_says_it_unpacks_to_a_terabyte_is_refused_before_it_is_unpacked() -> None:
    magic, descriptor = b"\x28\xb5\x2f\xfd", b"\xe0"  # one segment, its size in 8 bytes
    blob = magic + descriptor + (1 << 40).to_bytes(8, "little") + b"\x01\x00\x00"
    with pytest.raises(SchemaError, match="more than the bound"):
        sealed.decode_body(blob)
