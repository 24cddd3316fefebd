"""Rules of the benchmark's table: a row that did not run is a missed target, never a silent pass."""

import json

from infra.bench.table import Line, Table, all_met, failed, figure


def test_a_row_that_did_not_run_counts_as_missed_and_says_why() -> None:
    line = failed("a fold", "10 x", RuntimeError("no broker"))
    assert line.met is False and "no broker" in line.note
    assert not all_met([Line("other", "1", "1", True), line])
    text = Table("make bench", 3, [line], machine="a machine").as_text()
    assert "DID NOT RUN" in text and "no broker" in text and "0 of 1 targets met" in text


def test_a_line_without_a_target_is_neither_met_nor_missed() -> None:
    assert all_met([Line("for information", "1", "", None)])


def test_the_table_names_machine_command_and_rounds_in_every_form() -> None:
    table = Table("make bench ARGS=merkle", 5, [Line("tree", "9 M leaves/s", "5 M", True)], machine="2 cores")
    for text in (table.as_text(), table.as_markdown()):
        assert "2 cores" in text and "make bench ARGS=merkle" in text and "medians of 5" in text
    assert json.loads(table.as_json())["lines"][0]["work"] == "tree"


def test_figures_are_short() -> None:
    assert figure(1_234_567, "events/s") == "1.23 M events/s"
    assert figure(56_700, "x/s") == "56.7 k x/s"
    assert figure(999, "x/s") == "999 x/s"
