"""The paths in a config mean the same in every working directory."""

import dataclasses
import pathlib

import pytest

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources import places
from seer_tf.finetuning.config import FinetuneConfig, LabelledDataConfig


def test_relative_paths_start_at_the_working_directory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    config = configs.override(Config(), ["data.source=photos", "run.init_from=../run"])
    absolute = places.with_absolute_places(config)
    assert absolute.data.source == f"folder:{tmp_path / 'photos'}"
    assert absolute.run.init_from == str(tmp_path.parent / "run")
    assert sorted(configs.differences(config, absolute)) == [
        f"data.source: photos, folder:{tmp_path / 'photos'}",
        f"run.init_from: ../run, {tmp_path.parent / 'run'}",
    ]
    monkeypatch.chdir("/")
    assert places.with_absolute_places(absolute) == absolute


def test_fine_tuning_names_more_places(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = LabelledDataConfig(train="shards:a", test="builtin:test", subset_list="names.txt")
    config = places.with_absolute_places(dataclasses.replace(FinetuneConfig(), data=data))
    assert places.named(config) == {
        "data.train": f"shards:{tmp_path / 'a'}",
        "data.test": "builtin:test",
        "data.subset_list": str(tmp_path / "names.txt"),
    }
    assert places.data(config).keys() == {"data.train", "data.test"}
    moved = places.moved(config, {"data.train": "shards:/b"})
    assert (moved.data.train, moved.data.test) == ("shards:/b", "builtin:test")
