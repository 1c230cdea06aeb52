"""A file is replaced whole, or left as it was."""

import pathlib

import pytest

from seer_tf.errors import InputError
from seer_tf.files.atomic import check_directory, check_file, write_atomically


def test_text_and_bytes_replace_what_was_there(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_atomically(file, "three ×\n")
    assert file.read_text("utf-8") == "three ×\n"
    write_atomically(file, b"\x00\xff")
    assert file.read_bytes() == b"\x00\xff"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_what_cannot_be_written_leaves_the_old_file_alone(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file.txt"
    write_atomically(file, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(file, "\ud800")
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_reader_of_the_folder_may_read_the_file(tmp_path: pathlib.Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    write_atomically(tmp_path / "whole", "")
    assert (tmp_path / "whole").stat().st_mode == plain.stat().st_mode


def test_places_are_looked_at_before_the_work(tmp_path: pathlib.Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for path in (file, tmp_path / "new", pathlib.Path("new")):
        check_file(path)
    for path in (tmp_path, tmp_path / "new" / "deeper", pathlib.Path("new")):
        check_directory(path)
    with pytest.raises(InputError, match="is a directory; name a file"):
        check_file(tmp_path)
    for path in (tmp_path / "nowhere" / "file", file / "x"):
        with pytest.raises(InputError, match="is no directory; make it"):
            check_file(path)
    for path in (file, file / "x", file / "x" / "y"):
        with pytest.raises(InputError, match="file is a file; name another place"):
            check_directory(path)
