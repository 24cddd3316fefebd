"""The file of wanted channels: a change is taken when two looks agree, so none is parted for a half written file."""

from pathlib import Path

import pytest

from infra.channel_lists import MAX_FILE_BYTES, ChannelsFile, ChannelsFileError


def test_a_file_that_is_being_rewritten_is_not_taken_before_two_looks_agree(tmp_path: Path) -> None:
    path = tmp_path / "channels"
    path.write_text("Ann # remark\nbob\n\n")
    file = ChannelsFile(path)
    assert file.logins == {"ann", "bob"}
    assert file.look() is None
    for half_written in ("", "an", "ann\nbob\ncle", "ann\nbob\ncleo\n"):
        path.write_text(half_written)
        assert file.look() is None
    assert file.look() == frozenset({"ann", "bob", "cleo"}) == file.logins
    assert file.look() is None
    path.write_text("")
    assert file.look() is None
    assert file.look() == frozenset(), "nobody is wanted, and that was meant"


def test_what_comes_back_to_what_it_was_or_cannot_be_read_meanwhile_changes_nothing(tmp_path: Path) -> None:
    path, aside = tmp_path / "channels", tmp_path / "aside"
    path.write_text("ann")
    file = ChannelsFile(path)
    path.rename(aside)
    with pytest.raises(ChannelsFileError, match="channels: No such file or directory; check the path"):
        file.look()
    path.write_text("bob")
    assert file.look() is None
    aside.rename(path)
    assert file.look() is None
    path.write_text("bob")
    assert file.look() is None, "the look of before is not one of two in a row"
    path.write_bytes(b"bob\n\xff")
    with pytest.raises(ChannelsFileError, match="is not text; give one login a line"):
        file.look()
    path.write_text("bob")
    assert file.look() is None
    assert file.look() == frozenset({"bob"})


def test_a_file_over_the_bound_is_refused_and_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "channels"
    path.write_text("ann\n" * (MAX_FILE_BYTES // 4 + 1))
    with pytest.raises(ChannelsFileError, match=r"channels is over 4194304 bytes; .* fewer channels"):
        ChannelsFile(path)


async def test_changes_are_told_from_two_looks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "channels"
    path.write_text("ann")
    monkeypatch.setattr("infra.channel_lists.LOOK_AT_FILE_S", 0.001)
    changes = ChannelsFile(path).changes()
    assert await anext(changes) == {"ann"}
    path.unlink()
    path.with_suffix(".new").write_text("ann\nbob")
    path.with_suffix(".new").rename(path)
    assert await anext(changes) == {"ann", "bob"}
