"""From a line to an event: each rule of the design, and each choice the module names."""

import pytest
from blake3 import blake3

from streams.collect.irc import Malformed
from streams.collect.twitch import Event, Skip, derived_id, event_id, read_line

UUID = "0123abcd-4567-89ef-0123-456789abcdef"
UUID_BYTES = bytes.fromhex(UUID.replace("-", ""))
AT = 1_767_225_600_000


def privmsg(nick: str = "Ann", channel: str = "#Chan", text: str = " :hi", **tags: str) -> bytes:
    merged = {"id": UUID, "room_id": "77", "user_id": "5", "tmi_sent_ts": str(AT)} | tags
    joined = ";".join(f"{name.replace('_', '-')}={value}" for name, value in merged.items() if value != "-")
    return f"@{joined} :{nick}!{nick}@{nick}.tmi.twitch.tv PRIVMSG {channel}{text}".encode()


def other(verb: str, text: str = "", **tags: str) -> bytes:
    merged = {"room_id": "77", "tmi_sent_ts": str(AT)} | tags
    joined = ";".join(f"{name.replace('_', '-')}={value}" for name, value in merged.items() if value != "-")
    return f"@{joined} :tmi.twitch.tv {verb} #chan{text}".replace("viewercount", "viewerCount").encode()


def event(line: bytes) -> Event:
    found = read_line(line)
    assert isinstance(found, Event)
    return found


def test_a_privmsg_is_a_message_by_the_prefixs_nick_with_lowercase_logins() -> None:
    assert event(privmsg()) == Event("twitch:id:77", "chan", AT, UUID_BYTES, 0, "twitch:id:5", "ann", 0)


def test_bits_are_the_amount() -> None:
    assert event(privmsg(bits="100")).amount == 100


def test_without_ids_logins_are_the_identities() -> None:
    found = event(privmsg(room_id="-", user_id="-"))
    assert (found.channel, found.viewer) == ("twitch:login:chan", "twitch:login:ann")


def test_an_empty_tag_counts_as_absent() -> None:
    found = event(privmsg(room_id="", bits="", source_room_id="", id=""))
    assert (found.channel, found.amount, found.id) == ("twitch:login:chan", 0, None)


def test_ids_keep_their_leading_zeros() -> None:
    assert event(privmsg(user_id="007")).viewer == "twitch:id:007"


@pytest.mark.parametrize(
    ("msg_id", "kind"),
    [
        ("sub", 1),
        ("resub", 2),
        ("subgift", 3),
        ("anonsubgift", 3),
        ("raid", 4),
        ("submysterygift", 5),
        ("giftpaidupgrade", 5),
        ("announcement", 5),
        ("-", 5),
    ],
)
def test_a_usernotice_is_told_apart_by_its_msg_id(msg_id: str, kind: int) -> None:
    found = event(other("USERNOTICE", msg_id=msg_id, login="Bob", user_id="9", id=UUID, bits="3"))
    assert (found.kind, found.viewer, found.login, found.amount) == (kind, "twitch:id:9", "bob", 0)


def test_a_raid_brings_its_viewers_and_none_where_it_does_not_say() -> None:
    assert event(other("USERNOTICE", msg_id="raid", login="b", msg_param_viewercount="321")).amount == 321
    assert event(other("USERNOTICE", msg_id="raid", login="b")).amount == 0


def test_a_notice_without_a_user_is_dropped_by_name_but_a_sub_without_one_is_malformed() -> None:
    assert read_line(other("USERNOTICE", msg_id="rewardgift")) == Skip("notices_without_user")
    with pytest.raises(Malformed, match="user has no login"):
        read_line(other("USERNOTICE", msg_id="sub"))


def test_a_ban_is_of_its_target_and_a_cleared_room_is_no_event() -> None:
    found = event(other("CLEARCHAT", " :Bob", target_user_id="9", ban_duration="600"))
    assert (found.kind, found.viewer, found.login, found.id) == (6, "twitch:id:9", "bob", None)
    assert read_line(other("CLEARCHAT")) == Skip("room_clears")


def test_a_deletion_is_of_the_login_and_its_target_message_is_not_its_id() -> None:
    found = event(other("CLEARMSG", " :text", login="bob", target_msg_id=UUID, room_id=""))
    assert (found.kind, found.viewer, found.channel, found.id) == (7, "twitch:login:bob", "twitch:login:chan", None)


@pytest.mark.parametrize("verb", ["PRIVMSG", "USERNOTICE"])
def test_a_shared_chat_copy_is_not_an_event_of_this_channel(verb: str) -> None:
    line = privmsg(source_room_id="78").replace(b"PRIVMSG", verb.encode())
    assert read_line(line) == Skip("shared_chat_copies")
    assert event(privmsg(source_room_id="77")).channel == "twitch:id:77"


def test_a_copy_is_a_copy_even_where_the_rest_is_wrong_or_the_room_unknown() -> None:
    assert read_line(privmsg(source_room_id="78", tmi_sent_ts="x")) == Skip("shared_chat_copies")
    assert read_line(privmsg(source_room_id="78", room_id="-")) == Skip("shared_chat_copies")


@pytest.mark.parametrize("line", [b":a!a@a JOIN #c", b"PING :x", b":s 353 a = #c :b", b"@a=b :s ROOMSTATE #c"])
def test_other_commands_are_ignored_by_name(line: bytes) -> None:
    assert read_line(line) == Skip("ignored_commands")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (privmsg(tmi_sent_ts="-"), "no tmi-sent-ts"),
        (privmsg(tmi_sent_ts="soon"), "tmi-sent-ts is not a number"),
        (privmsg(tmi_sent_ts="-1"), "tmi-sent-ts is not a number"),
        (privmsg(tmi_sent_ts="1293839999999"), "time is not in 2011..2099"),
        (privmsg(tmi_sent_ts="0"), "time is not in 2011..2099"),
        (privmsg(tmi_sent_ts="4102444800000"), "time is not in 2011..2099"),
        (privmsg(user_id="x5"), "user-id is not a number"),
        (privmsg(room_id="1" * 21), "room-id is not a number"),
        (privmsg(user_id="٣"), "user-id is not a number"),
        (privmsg(bits="4294967296"), "bits does not fit 32 bits"),
        (privmsg(bits="1e3"), "bits is not a number"),
        (privmsg(bits="9" * 5000), "bits is not a number"),
        (privmsg(nick=""), "user has no login"),
        (privmsg(nick="a\tb"), "user login is not a login"),
        (privmsg(nick="a\0b"), "user login is not a login"),
        (privmsg(nick="n" * 65), "user login is not a login"),
        (privmsg().replace(b":Ann", b":\xff\xfe"), "user login is not a login"),
        (privmsg(channel="chan"), "no channel"),
        (privmsg(channel="#"), "channel has no login"),
        (privmsg(text=""), "PRIVMSG has no text"),
        (privmsg().replace(b"PRIVMSG", b"PRIVMS"), "unknown command"),
        (other("USERNOTICE", msg_id="raid", login="b", msg_param_viewercount="many"), "viewerCount is not a number"),
        (b"\x00\x01\x02\xff", "unknown command"),
    ],
)
def test_wrong_tags_and_torn_lines_are_malformed(line: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        read_line(line)


def test_the_bounds_of_time_are_2011_and_2100() -> None:
    assert event(privmsg(tmi_sent_ts="1293840000000")).at_ms == 1_293_840_000_000
    assert event(privmsg(tmi_sent_ts="4102444799999")).at_ms == 4_102_444_799_999


def test_text_that_is_not_utf8_does_no_harm() -> None:
    assert event(privmsg() + b"\xff\xfe\x00").login == "ann"


def test_a_reason_quotes_nothing_of_the_line() -> None:
    with pytest.raises(Malformed) as caught:
        read_line(privmsg(user_id="secret-words"))
    assert "secret" not in str(caught.value)


def test_event_ids_are_a_uuids_bytes_or_the_hash_of_any_other_id() -> None:
    assert event_id(UUID.encode()) == event_id(UUID.upper().encode()) == UUID_BYTES
    for odd in (b"x", UUID.encode() + b"0", UUID.replace("-", "").encode(), UUID.replace("a", "g").encode()):
        assert event_id(odd) == blake3(odd).digest()[:16]
    assert event(privmsg(id=r"a\sb")).id == blake3(b"a b").digest()[:16]


def test_a_derived_id_is_of_the_line_and_the_count_of_earlier_ones() -> None:
    assert derived_id(b"line", 258) == blake3(b"twzrd/derived-id/v1" + b"line" + b"\x02\x01\x00\x00").digest()[:16]
