"""How a recent-messages service writes lines anew (robotty/recent-messages2, message_export.rs)."""

from streams.collect.irc import parse_line
from streams.collect.twitch_sim.recent import exported


def test_tags_are_sorted_and_two_are_added_and_one_word_has_no_colon() -> None:
    line = b"@tmi-sent-ts=5;id=a;display-name=A\\sB :a!a@a PRIVMSG #x :word\r\n"
    assert exported(line, 7) == (
        b"@display-name=A\\sB;historical=1;id=a;rm-received-ts=7;tmi-sent-ts=5 :a!a@a PRIVMSG #x word"
    )


def test_a_text_of_many_words_or_with_a_colon_keeps_it() -> None:
    for text in (b"two words", b":)", b""):
        out = exported(b"@id=a :a!a@a PRIVMSG #x :" + text + b"\r\n", 7)
        assert out.endswith(b" PRIVMSG #x :" + text)
        assert parse_line(out).params == [b"#x", text]
