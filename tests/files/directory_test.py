"""A new directory: whole, or not at all."""

import os
from pathlib import Path

import pytest

from seer_tf.errors import InputError
from seer_tf.files.atomic import new_directory


def test_it_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "made on the way" / "out"
    with new_directory(output) as directory:
        (directory / "file").write_text("content")
        assert not output.exists() and directory.parent == output.parent
    assert (output / "file").read_text() == "content"
    assert os.listdir(output.parent) == ["out"]
    assert output.stat().st_mode & 0o777 == 0o755


def test_nothing_stays_when_something_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="half-way"), new_directory(tmp_path / "out") as directory:
        (directory / "file").write_text("content")
        raise RuntimeError("half-way")
    assert not os.listdir(tmp_path)


def test_what_exists_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="out exists already"), new_directory(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path) == ["out"]
