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
