"""SQL files consist of named statements."""

from pathlib import Path

import pytest

from streams.log.named_sql import NamedSqlError, load


def write(folder: Path, text: str) -> Path:
    path = folder / "some.sql"
    path.write_text(text)
    return path


def test_statements_are_found_by_name(tmp_path: Path) -> None:
    text = "-- what this file is\n\n-- name: one\nselect 1\n\n-- name: two\n-- why\nselect\n  2\n"
    assert load(write(tmp_path, text)) == {"one": "select 1", "two": "-- why\nselect\n  2"}


@pytest.mark.parametrize(
    "text", ["select 1", "-- name: one\n-- name: two\nselect 2", "-- name: one\nselect 1\n-- name: one\nselect 2"]
)
def test_a_file_without_names_or_with_an_empty_or_doubled_one_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(NamedSqlError, match=r"some\.sql"):
        load(write(tmp_path, text))
