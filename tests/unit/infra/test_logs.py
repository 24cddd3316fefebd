"""Logs: one JSON object a line for machines, one readable line on a terminal, always on the given stream."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from infra import logs


@pytest.fixture(autouse=True)
def root_logger_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_line_has_time_level_logger_message_and_fields() -> None:
    out = io.StringIO()
    logs.configure("info", "auto", out)
    logging.getLogger("streams.log").warning("slow %s", "append", extra={"fields": {"lag_ms": 12, "channel": "ä"}})
    line = json.loads(out.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "streams.log",
        "message": "slow append",
        "lag_ms": 12,
        "channel": "ä",
    }
    assert out.getvalue().count("\n") == 1


def test_a_message_of_many_lines_stays_one_line() -> None:
    out = io.StringIO()
    logs.configure("info", "json", out)
    logging.getLogger("x").error("one\ntwo")
    assert out.getvalue().count("\n") == 1


def test_field_does_not_hide_what_every_line_has() -> None:
    out = io.StringIO()
    logs.configure("info", "json", out)
    logging.getLogger("x").error("said", extra={"fields": {"message": "other", "path": object}})
    line = json.loads(out.getvalue())
    assert (line["message"], line["field_message"]) == ("said", "other")
    assert "object" in line["path"]


def test_error_carries_its_traceback() -> None:
    for form in ("json", "text"):
        out = io.StringIO()
        logs.configure("info", form, out)
        try:
            raise ValueError("odd")
        except ValueError:
            logging.getLogger("x").exception("failed")
        assert "ValueError: odd" in out.getvalue()


def test_terminal_gets_readable_text() -> None:
    out = Terminal()
    logs.configure("info", "auto", out)
    logging.getLogger("x").warning("slow", extra={"fields": {"lag_ms": 12}})
    assert out.getvalue().rstrip().endswith("x slow lag_ms=12")


def test_less_than_the_level_is_not_written() -> None:
    out = io.StringIO()
    logs.configure("warning", "json", out)
    logging.getLogger("x").info("quiet")
    assert out.getvalue() == ""


def test_second_configuration_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", "json", first)
    logs.configure("info", "json", second)
    logging.getLogger("x").info("once")
    assert (first.getvalue(), second.getvalue().count("\n")) == ("", 1)


def test_line_is_bounded() -> None:
    out = io.StringIO()
    logs.configure("info", "json", out)
    logging.getLogger("x").info("big", extra={"fields": {"data": "y" * 200_000}})
    line = json.loads(out.getvalue())
    assert len(out.getvalue()) < logs.LINE_LIMIT_BYTES
    assert line["message"] == "big" and line["cut_bytes"] > 200_000


@pytest.mark.parametrize("level", ["debug", "info"])
def test_a_client_s_requests_are_not_logged_for_their_addresses_hold_keys(level: str) -> None:
    out = io.StringIO()
    logs.configure(level, "json", out)
    logging.getLogger("httpx2").info("HTTP Request: POST https://node.example/?api-key=secret")
    assert out.getvalue() == ""


def test_what_no_strict_json_can_say_is_a_line_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    logs.configure("info", "json", out)
    logging.getLogger("x").error("cannot read %s", "a\udcff.irc", extra={"fields": {"n": 2**70}})
    line = json.loads(out.getvalue())
    assert (line["message"], line["n"]) == ("cannot read a\udcff.irc", 2**70)
    assert "Logging error" not in capsys.readouterr().err


def test_text_from_chat_does_not_steer_the_terminal() -> None:
    out = Terminal()
    logs.configure("info", "text", out, colours=False)
    logging.getLogger("x").warning("said \x1b[2J", extra={"fields": {"login": "\x9b31m"}})
    try:
        raise ValueError("\x1b]0;title\x07")
    except ValueError:
        logging.getLogger("x").exception("failed")
    assert not {"\x1b", "\x9b", "\x07"} & set(out.getvalue())


@pytest.mark.parametrize(
    ("stream", "colours", "coloured"), [(Terminal, True, True), (Terminal, False, False), (io.StringIO, True, False)]
)
def test_colours_are_for_terminals_that_want_them(stream: type[io.StringIO], colours: bool, coloured: bool) -> None:
    out = stream()
    logs.configure("info", "text", out, colours=colours)
    logging.getLogger("x").warning("slow")
    assert ("\x1b[" in out.getvalue()) is coloured
