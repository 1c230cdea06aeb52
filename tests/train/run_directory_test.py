"""The directory of a run belongs to one config."""

import pathlib

import pytest

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.recipes import recipe
from seer_tf.train.run_directory import RunDirectory


def test_the_config_comes_back(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "new" / "run")
    directory.claim(recipe("debug_tiny"))
    assert directory.read_config() == recipe("debug_tiny")
    assert [file.name for file in directory.path.iterdir()] == ["config.json"]


def test_intervals_may_change_and_nothing_else(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(recipe("debug_tiny"))
    directory.claim(configs.override(recipe("debug_tiny"), ["run.log_every_steps=1"]))
    with pytest.raises(InputError, match="run.seed: 0, 1"):
        directory.claim(configs.override(recipe("debug_tiny"), ["run.seed=1"]))
    assert directory.read_config() == recipe("debug_tiny")


@pytest.mark.parametrize("content", ["", "{", '{"config": {}}'])
def test_a_damaged_config_is_one_sentence(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="damaged|not of this version"):
        RunDirectory(tmp_path).read_config()


def test_a_directory_of_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        RunDirectory(tmp_path).claim(recipe("debug_tiny"))
    with pytest.raises(InputError, match="not the directory of a run"):
        RunDirectory(tmp_path).read_config()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]
