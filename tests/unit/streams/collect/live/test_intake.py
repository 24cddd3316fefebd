"""The Intake's other rules: batches, opt-outs, dead letters, hostile input, bounds."""

import tracemalloc

import pytest

from schemas.columns import MESSAGE
from schemas.dead import decode as decode_dead
from schemas.envelope import MAX_EVENTS
from streams.collect.fast_irc import parse_irc_chunk
from streams.collect.live import channels as channels_module
from streams.collect.live import suppression as suppression_module
from streams.collect.live.dead_lines import MAX_LETTERS
from streams.collect.live.framing import LineBuffer
from streams.collect.live.intake import MAX_PENDING, LiveIntake
from tests.live import T0_MS, Sink, chat, intake_into


class OptOuts:
    """A list that changes."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.version = 0
        self.asked = 0

    def change(self, *names: str) -> None:
        self.names, self.version = set(names), self.version + 1

    @property
    def any_by_id(self) -> bool:
        return any(name.startswith("twitch:id:") for name in self.names)

    def holds(self, identity: str, login: str) -> bool:
        self.asked += 1
        return identity in self.names or login in self.names


CLEARED = (
    b"@login=%b;room-id=22;target-msg-id=1;tmi-sent-ts=%d :tmi.twitch.tv CLEARMSG #chan :gone\r\n"
    b"@room-id=22;target-user-id=5;tmi-sent-ts=%d :tmi.twitch.tv CLEARCHAT #chan :%b\r\n"
)


def test_envelopes_hold_at_most_200_events_and_every_viewer_once() -> None:
    sink = Sink()
    intake = intake_into(sink)
    lines = [chat(T0_MS + i, user=i % 7, login=f"v{i % 7}", room=22 + i % 2, channel=f"c{i % 2}") for i in range(1_001)]
    for some in (lines[:900], lines[900:902], lines[902:]):
        intake.received(1, b"".join(some), T0_MS + 2_000)
    intake.flush(T0_MS + 2_000)
    assert max(len(one.kind) for one in sink.envelopes) == MAX_EVENTS
    for one in sink.envelopes:
        assert len(set(one.viewers)) == len(one.viewers) <= 7
    assert len({row[2] for row in sink.rows()}) == 1_001


def test_events_wait_for_the_flush_but_never_more_than_the_bound() -> None:
    sink = Sink()
    intake = intake_into(sink)
    block = b"".join(chat(T0_MS + i, i) for i in range(1_000))
    for _ in range(MAX_PENDING // 1_000):
        intake.received(1, block, T0_MS + 2_000)
    assert sink.values == []
    intake.received(1, block, T0_MS + 2_000)
    assert len(sink.rows()) == MAX_PENDING // 1_000 * 1_000 + 1_000


@pytest.mark.parametrize("name", ["twitch:id:5", "ann"])
@pytest.mark.parametrize("many", [1, 400])
def test_an_opted_out_viewer_leaves_no_trace_from_the_next_flush_on(name: str, many: int) -> None:
    sink, opted_out = Sink(), OptOuts()
    intake = intake_into(sink, suppressed=opted_out)

    def flood(number: int) -> None:
        lines = b"".join(
            chat(T0_MS + i, number, user=5 + i % 2, login=("ann", "bob")[i % 2], text="my name is ann")
            for i in range(2 * many)
        )
        lines += CLEARED % (b"ann", T0_MS + 1, T0_MS + 2, b"ann") + b"@login=ann :x PRIVMSG #chan\r\n"
        intake.received(1, lines, T0_MS + 2_000)
        intake.flush(T0_MS + 2_000)

    flood(0)
    assert any(b"ann" in value for value in sink.values)
    sink.values.clear()
    opted_out.change(name)
    flood(1)
    assert len(sink.rows()) == many
    for trace in (b"ann", b"id:5"):
        assert not any(trace in value for value in (*sink.values, *sink.dead))
    assert intake.counters.suppressed_events == many + 2
    opted_out.change()
    flood(2)
    assert len(sink.rows()) == many + 2 * many + 2


def test_a_deletion_without_room_id_belongs_to_the_channel_of_its_login_and_ends_no_claim() -> None:
    sink = Sink()
    intake = intake_into(sink)
    intake.observing("chan", "22", 1, T0_MS)
    deletion = b"@login=ann;room-id=;target-msg-id=1;tmi-sent-ts=%d :tmi.twitch.tv CLEARMSG #chan :gone\r\n"
    for second in range(1, 6):
        at_ms = T0_MS + 1_000 * second
        intake.received(1, chat(at_ms) + deletion % at_ms, at_ms)
        intake.flush(at_ms)
    assert {one.channel for one in sink.envelopes} == {"twitch:id:22"}
    assert len(sink.rows()) == 10
    assert sink.said() == [(500, 4_000)]
    assert intake.channels.room_changes == 0


def test_a_viewer_is_asked_about_once_for_each_version_of_the_list() -> None:
    opted_out = OptOuts()
    intake = intake_into(Sink(), suppressed=opted_out)
    for number in range(50):
        intake.received(1, chat(T0_MS, number), T0_MS)
        intake.flush(T0_MS)
    assert opted_out.asked == 1


def test_a_deletion_of_one_who_was_seen_before_the_list_named_them_is_dropped() -> None:
    sink, opted_out = Sink(), OptOuts()
    intake = intake_into(sink, suppressed=opted_out)
    intake.received(1, chat(T0_MS), T0_MS)
    intake.flush(T0_MS)
    for number, held in enumerate((("twitch:id:77",), ("twitch:id:5",)), 1):
        opted_out.change(*held)
        intake.received(1, DELETED % (b"ann", T0_MS + number), T0_MS)
        intake.flush(T0_MS)
    assert [row[0] for row in sink.rows()] == [("twitch:id:5", "ann"), ("twitch:login:ann", "ann")]


def test_a_login_that_another_person_bears_now_is_not_suppressed_with_its_former_owner() -> None:
    sink, opted_out = Sink(), OptOuts()
    opted_out.change("twitch:id:5")
    intake = intake_into(sink, suppressed=opted_out)
    for number, user in enumerate((5, 9)):
        intake.received(1, chat(T0_MS, number, user=user), T0_MS)
        intake.flush(T0_MS)
        intake.received(1, CLEARED % (b"ann", T0_MS + 1, T0_MS + 2, b"bob"), T0_MS)
        intake.flush(T0_MS)
    assert [row[0] for row in sink.rows()] == [("twitch:id:9", "ann"), ("twitch:login:ann", "ann")]


DELETED = b"@login=%b;room-id=;target-msg-id=1;tmi-sent-ts=%d :tmi.twitch.tv CLEARMSG #chan :gone\r\n"


def test_a_deletion_of_somebody_unknown_is_dropped_while_anybody_is_opted_out_by_id() -> None:
    """It names a login alone, and that may be the login of who opted out by their id and was never heard here."""
    sink, opted_out = Sink(), OptOuts()
    intake = intake_into(sink, suppressed=opted_out)
    intake.observing("chan", "22", 1, T0_MS)

    def deleted(*logins: bytes) -> set[str]:
        sink.values.clear()
        intake.received(1, b"".join(DELETED % (login, T0_MS) for login in logins), T0_MS)
        intake.flush(T0_MS)
        return {row[0][1] for row in sink.rows()}

    intake.received(1, chat(T0_MS, user=6, login="bob"), T0_MS)
    intake.flush(T0_MS)
    assert deleted(b"ann", b"bob") == {"ann", "bob"}, "nobody opted out"
    opted_out.change("twitch:login:eve")
    assert deleted(b"ann", b"bob") == {"ann", "bob"}, "nobody opted out by an id"
    opted_out.change("twitch:id:5")
    assert deleted(b"ann", b"bob") == {"bob"}, "ann may be 5; bob is 6"
    assert (intake.counters.suppressed_events, intake.counters.unidentified_events) == (0, 1)
    assert not any(b"ann" in value for value in (*sink.values, *sink.dead))
    intake.received(1, chat(T0_MS, 1, user=5, login="ann") + chat(T0_MS, 2, user=7, login="cat"), T0_MS)
    assert deleted(b"ann", b"bob", b"cat") == {"bob", "cat"}, "ann is 5, as a line said that was dropped itself"
    assert (intake.counters.suppressed_events, intake.counters.unidentified_events) == (2, 1)
    opted_out.change()
    assert deleted(b"ann", b"dan") == {"ann", "dan"}, "they came back"


def test_authors_are_known_for_as_long_as_they_were_heard_lately(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression_module, "MAX_KEPT", 10)
    sink, opted_out = Sink(), OptOuts()
    opted_out.change("twitch:id:5")
    intake = intake_into(sink, suppressed=opted_out)
    for number in range(12):
        intake.received(1, chat(T0_MS, number, user=100 + number, login=f"v{number}"), T0_MS)
        intake.received(1, chat(T0_MS, 50 + number, user=99, login="bob"), T0_MS)
        intake.flush(T0_MS)
    for number in (1, 3):
        intake.received(1, chat(T0_MS, 90 + number, user=100 + number, login=f"v{number}"), T0_MS)
        intake.flush(T0_MS)
    sink.values.clear()
    names = [b"bob", *(b"v%d" % number for number in range(12))]
    intake.received(1, b"".join(DELETED % (name, T0_MS) for name in names), T0_MS)
    intake.flush(T0_MS)
    assert {row[0][1] for row in sink.rows()} == {name.decode() for name in names}
    for number in range(30):
        intake.received(1, chat(T0_MS, 200 + number, user=500 + number, login=f"w{number}"), T0_MS)
        intake.received(1, chat(T0_MS, 300 + number, user=99, login="bob"), T0_MS)
        intake.flush(T0_MS)
    sink.values.clear()
    intake.received(1, b"".join(DELETED % (name, T0_MS) for name in names), T0_MS)
    intake.flush(T0_MS)
    assert {row[0][1] for row in sink.rows()} == {"bob"}, "the others were not heard for two tables' length"


def test_recovered_events_of_the_opted_out_are_dropped_too() -> None:
    sink, opted_out = Sink(), OptOuts()
    opted_out.change("ann")
    intake = intake_into(sink, suppressed=opted_out)
    intake.observing("chan", "22", 1, T0_MS)
    history = parse_irc_chunk(chat(T0_MS) + chat(T0_MS, 1, user=6, login="bob")).channels["twitch:id:22"][1]
    intake.recovered("twitch:id:22", history, T0_MS, T0_MS + 10)
    assert [row[0][1] for row in sink.rows()] == ["bob"]
    assert sink.said("recovered") == [(0, 10)]


def test_dead_letters_never_hold_text_and_their_rate_is_bounded_and_said() -> None:
    sink = Sink()
    intake = intake_into(sink)
    lines = [b"@id=1;tmi-sent-ts=x :secret!s@s PRIVMSG #chan :secret words %d" % i for i in range(MAX_LETTERS + 30)]
    intake.received(3, b"\r\n".join(lines) + b"\r\n", T0_MS)
    intake.flush(T0_MS)
    letters = [decode_dead(letter) for letter in sink.dead]
    assert len(letters) == MAX_LETTERS + 1
    assert letters[0].where == {"source": "s", "connection": 3}
    assert letters[0].length == len(lines[0])
    assert letters[-1].where["lines"] == 30
    assert letters[-1].where["bytes"] == sum(map(len, lines[MAX_LETTERS:]))
    assert not any(b"secret" in letter for letter in sink.dead)
    assert intake.counters.malformed_lines == MAX_LETTERS + 30


def test_lines_that_are_not_chat_are_given_back_whole_and_in_order() -> None:
    control = [
        b"PING :tmi.twitch.tv",
        b":tmi.twitch.tv RECONNECT",
        b"@msg-id=msg_banned :tmi.twitch.tv NOTICE #chan :You are permanently banned",
        b"@emote-only=0;room-id=22 :tmi.twitch.tv ROOMSTATE #chan",
        b":a!a@a JOIN #chan",
        b":tmi.twitch.tv CAP * ACK :twitch.tv/tags",
        b":tmi.twitch.tv 001 justinfan1 :Welcome",
        b"@a=b :x SOMETHINGNEW #chan",
    ]
    intake = intake_into(Sink())
    acted: list[bytes] = []
    for times in (1, 60):  # line by line, and by columns
        lines = b"".join(line + b"\r\n" + chat(T0_MS, number) for number, line in enumerate(control * times))
        acted.clear()
        intake.received(1, lines, T0_MS, lambda line, at_ms: acted.append(line))
        assert acted == control * times
    assert intake.counters.malformed_lines == 0


HOSTILE = [
    b"@" + b";".join(b"t%d=v" % i for i in range(5_000)) + b" :a!a@a PRIVMSG #chan :x",
    b"@" + b"a=b;" * 100_000 + b" :a!a@a PRIVMSG #chan :x",
    b"@" + b";" * 60_000,
    b"\xff\xfe\x00\x80" * 100,
    b"@id=1;room-id=22;user-id=5;tmi-sent-ts=1760000400000 :\xff\xff!a@a PRIVMSG #chan :\xff\x1b[2J",
    b"@id=1;room-id=22;user-id=5;tmi-sent-ts=1760000400000 :a\x1b[31m!a@a PRIVMSG #\x07chan :x",
    b":forged!forged@tmi.twitch.tv :another!source@x PRIVMSG #chan :x",
    b":tmi.twitch.tv PRIVMSG",
    b"\x00" * 1_000,
    b" " * 60_000,
    b"@ : PRIVMSG # :",
    b"x" * 300_000,
]


def test_hostile_lines_are_counted_and_neither_crash_nor_grow_anything(seed: int) -> None:
    sink = Sink()
    intake = intake_into(sink)
    buffer = LineBuffer()
    tracemalloc.start()
    sizes = []
    for number in range(40):
        stream = b"\r\n".join([*HOSTILE, chat(T0_MS + number, number, end="")]) + b"\r\n"
        for at in range(0, len(stream), 50_000):
            intake.received(1, buffer.feed(stream[at : at + 50_000]), T0_MS)
        intake.flush(T0_MS)
        sink.values.clear()
        sink.dead.clear()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert intake.counters.events == 40 + 0
    taken = intake.counters
    assert taken.lines == 40 * (len(HOSTILE) + 1)
    assert taken.malformed_lines + taken.control_lines + taken.events == taken.lines
    assert buffer.cut_lines == 80
    assert sizes[-1] < sizes[3] + 300_000


def test_more_channels_than_the_bound_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_module, "MAX_KNOWN", 5)
    sink = Sink()
    intake: LiveIntake = intake_into(sink)
    for room in range(5):
        intake.observing(f"c{room}", str(room), 1, T0_MS)
    for room in range(9):
        intake.received(1, chat(T0_MS, room=room, channel=f"c{room}"), T0_MS)
    intake.flush(T0_MS)
    assert len(sink.rows()) == 5
    assert intake.counters.unknown_channel_events == 4


def test_identical_lines_without_an_id_are_one_event() -> None:
    sink = Sink()
    intake = intake_into(sink)
    line = b"@room-id=22;target-user-id=5;tmi-sent-ts=1760000400000 :tmi.twitch.tv CLEARCHAT #chan :ann"
    intake.received(1, line + b"\r\n" + line + b"\n", T0_MS)
    intake.received(2, line + b"\r\n", T0_MS)
    intake.flush(T0_MS)
    assert len(sink.rows()) == 3
    assert len({row[2] for row in sink.rows()}) == 1
    assert all(row[3] != MESSAGE for row in sink.rows())
