"""A file is replaced whole, or left as it was."""

import pathlib

import pytest

from seer_tf.whole_file import write_whole


def test_text_and_bytes_replace_what_was_there(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_whole(file, "three ×\n")
    assert file.read_text("utf-8") == "three ×\n"
    write_whole(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_leaves_the_old_file_alone(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_whole(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_whole(file, "\ud800")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_reader_of_the_folder_may_read_the_file(tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write_whole(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode
