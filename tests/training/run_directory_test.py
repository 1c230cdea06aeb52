"""The directory of a run belongs to one config."""

import errno
import fcntl
import json
import os
import pathlib
from collections.abc import Callable

import pytest

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.finetuning.config import FinetuneConfig
from seer_tf.finetuning.recipes import recipe as finetuning_recipe
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.run_directory import RunDirectory
from tests import mutations


def test_the_config_is_equal_after_writing_and_reading(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "new" / "run")
    directory.claim(recipe("debug_tiny"))
    assert directory.read_config() == recipe("debug_tiny")
    assert [file.name for file in directory.path.iterdir()] == ["config.json"]


def test_only_settings_that_change_no_number_may_change(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(recipe("debug_tiny"))
    for setting in ("run.log_every_steps=1", "data.max_bad_fraction=0.5", "data.augment_on=accelerator"):
        directory.claim(configs.override(recipe("debug_tiny"), [setting]))
    with pytest.raises(InputError, match=f"run.seed: 0, 1.*`run.init_from={tmp_path}` to start"):
        directory.claim(configs.override(recipe("debug_tiny"), ["run.seed=1"]))
    assert directory.read_config() == recipe("debug_tiny")


_OF_OTHER_TYPES = [
    f'{{"config": {config}, "versions": {{"seer_tf": "0"}}}}' for config in ("1", "[]", '{"run": []}', "{}")
]


@pytest.mark.parametrize(
    "content", ["", "{", '{"config": {}}', "[]", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}", *_OF_OTHER_TYPES]
)
def test_a_damaged_config_gets_one_sentence(tmp_path: pathlib.Path, content: str) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match="config.json.*(damaged|has no section)"):
        RunDirectory(tmp_path).read_config()


def test_a_run_directory_names_the_kind_of_its_run(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(finetuning_recipe("finetune_small"))
    assert directory.kind() == "finetuning"
    assert directory.read_config_of(FinetuneConfig) == finetuning_recipe("finetune_small")
    with pytest.raises(InputError, match="config.json: this is a finetuning run, and a pretraining run is needed"):
        directory.read_config()
    file = tmp_path / "config.json"
    content = json.loads(file.read_text())
    del content["checksum"]
    assert content["config"].pop("kind") == "finetuning"
    file.write_text(json.dumps(content))  # as in runs before the kind was stored
    assert directory.kind() == "finetuning"
    file.write_text(json.dumps(content | {"config": content["config"] | {"kind": "distillation"}}))
    with pytest.raises(InputError, match="config.json: there is no kind of run 'distillation'"):
        directory.kind()


def test_a_run_of_a_newer_version_is_refused(tmp_path: pathlib.Path) -> None:
    RunDirectory(tmp_path).claim(recipe("debug_tiny"))
    file = tmp_path / "config.json"
    content = json.loads(file.read_text())
    del content["checksum"]
    file.write_text(json.dumps(content | {"versions": {"seer_tf": "9.10.0"}}))
    with pytest.raises(InputError, match="was made by seer_tf 9.10.0, which is newer than this"):
        RunDirectory(tmp_path).claim(recipe("debug_tiny"))
    file.write_text(json.dumps(content | {"versions": {"seer_tf": "0.0.9"}}))
    assert RunDirectory(tmp_path).read_config() == recipe("debug_tiny")


def test_only_one_process_at_a_time_writes_to_a_run_directory(tmp_path: pathlib.Path) -> None:
    with RunDirectory(tmp_path).claimed(recipe("debug_tiny")):
        with pytest.raises(InputError, match="another process is writing"):
            with RunDirectory(tmp_path).claimed(recipe("debug_tiny")):
                pytest.fail("two at once")
    with RunDirectory(tmp_path).claimed(recipe("debug_tiny")):
        pass


def test_a_new_directory_is_free_again_if_bad_input_ends_the_run_before_it_starts(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path / "run")
    for make_something in (lambda: None, directory.checkpoints.mkdir):
        with pytest.raises(InputError, match="no such weights"):
            with directory.claimed(recipe("debug_tiny")):
                make_something()
                raise InputError("no such weights")
        assert (directory.path / "config.json").exists() == directory.checkpoints.exists()
    with pytest.raises(InputError, match="no such weights"):
        with directory.claimed(recipe("debug_tiny")):
            raise InputError("no such weights")
    assert directory.read_config() == recipe("debug_tiny")


def test_without_locks_a_warning_is_logged(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", without_locks)
    with RunDirectory(tmp_path).claimed(recipe("debug_tiny")):
        assert "cannot be locked (Function not implemented)" in caplog.text


def test_a_new_directory_is_free_again_after_ctrl_c(tmp_path: pathlib.Path) -> None:
    with pytest.raises(KeyboardInterrupt), RunDirectory(tmp_path / "run").claimed(recipe("debug_tiny")):
        raise KeyboardInterrupt
    RunDirectory(tmp_path / "run").claim(configs.override(recipe("debug_tiny"), ["run.seed=1"]))


def test_what_a_killed_process_left_is_no_foreign_file_and_is_removed(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".config.json.0123abcd.unfinished").write_text("{")
    with RunDirectory(tmp_path).claimed(recipe("debug_tiny")):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "lock"}


def test_a_url_is_refused() -> None:
    with pytest.raises(InputError, match="gs://bucket/run is a URL, and a run needs locks; give a directory"):
        RunDirectory("gs://bucket/run")


def test_a_place_that_cannot_be_written_gets_one_sentence(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="/file/run cannot be a directory, since .*/file is a file"):
        RunDirectory(tmp_path / "file" / "run").claim(recipe("debug_tiny"))


def test_a_directory_of_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        RunDirectory(tmp_path).claim(recipe("debug_tiny"))
    with pytest.raises(InputError, match="not a run directory"):
        RunDirectory(tmp_path).read_config()
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


def _with_data(data: str, *more: str) -> configs.Config:
    return configs.override(recipe("debug_tiny"), [f"data.source={data}", *more])


def test_a_run_continues_with_its_images_in_another_place(tmp_path: pathlib.Path) -> None:
    images = {"data.source": "200 images, 3f2a"}
    RunDirectory(tmp_path / "old").claim(_with_data("folder:/old"), images)
    (tmp_path / "old").rename(tmp_path / "new")
    directory = RunDirectory(tmp_path / "new")
    directory.check(_with_data("folder:/new"))  # the images are not opened yet
    with pytest.raises(InputError, match=r"data.source: folder:/old \(200 .*, 3f2a\), folder:/new \(200 .*, 77ab\)"):
        directory.check(_with_data("folder:/new"), {"data.source": "200 images, 77ab"})
    with pytest.raises(InputError, match="holds a run with another config .*folder:/new .None"):
        directory.check(_with_data("folder:/new"), {})
    with pytest.raises(InputError, match="run.seed: 0, 1"):
        directory.check(_with_data("folder:/new", "run.seed=1"), images)
    assert directory.read_config() == _with_data("folder:/old")
    with directory.claimed(_with_data("folder:/new"), images):
        pass
    assert directory.read_config() == _with_data("folder:/new")


def test_other_images_in_the_same_place_get_a_warning(tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(_with_data("folder:/a"), {"data.source": "200 images, 3f2a"})
    with directory.claimed(_with_data("folder:/a"), {"data.source": "201 images, 77ab"}):
        assert "continues with other images than before: data.source: folder:/a (200 images, 3f2a)" in caplog.text
    caplog.clear()
    directory.check(_with_data("folder:/a"), {"data.source": "201 images, 77ab"})
    assert not caplog.text


def test_a_run_of_an_earlier_version_opens(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The run has relative paths and no identity of its images."""
    monkeypatch.chdir(tmp_path)
    directory, images = RunDirectory(tmp_path / "run"), {"data.source": "200 images, 3f2a"}
    directory.claim(_with_data("folder:photos"))
    file = directory.path / "config.json"
    content = json.loads(file.read_text())
    del content["checksum"]
    assert content["config"]["data"]["source"] == f"folder:{tmp_path}/photos"
    content["config"]["data"]["source"] = "folder:photos"
    del content["images"]
    file.write_text(json.dumps(content))
    directory.check(_with_data(f"folder:{tmp_path / 'photos'}"), images)
    assert not caplog.text
    directory.check(_with_data("folder:/elsewhere"), images)
    assert "check yourself that folder:/elsewhere has the same images as folder:" in caplog.text
    with directory.claimed(_with_data("folder:/elsewhere"), images):
        pass
    with pytest.raises(InputError, match="data.source"):
        directory.check(_with_data("folder:/other"), {"data.source": "200 images, 77ab"})


def test_the_initial_weights_may_move_once_a_run_has_a_checkpoint(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(_with_data("builtin", "run.init_from=/old"), {"data.source": "1"})
    with pytest.raises(InputError, match="run.init_from: /old, /new"):
        directory.check(_with_data("builtin", "run.init_from=/new"), {"data.source": "1"})
    directory.checkpoint(5).mkdir(parents=True)
    directory.check(_with_data("builtin", "run.init_from=/new"), {"data.source": "1"})


def test_a_place_is_checked_before_the_config_exists(tmp_path: pathlib.Path) -> None:
    RunDirectory(tmp_path / "new").check_place()
    assert not any(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not empty and not a run directory"):
        RunDirectory(tmp_path).check_place()
    with pytest.raises(InputError, match="file is a file"):
        RunDirectory(tmp_path / "file").check_place()
    with pytest.raises(InputError, match="is not a run directory"):
        RunDirectory(tmp_path / "file").read_config()


def test_damage_to_config_json_gets_one_sentence(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(recipe("debug_tiny"), {"data.source": "some images"})
    path = tmp_path / "config.json"
    good = path.read_bytes()
    values = {key: value for key, value in json.loads(good).items() if key != "checksum"}
    without = json.dumps(values).encode()  # an earlier version wrote no checksum
    for content in (*mutations.flipped(good, 200), *mutations.flipped(without, 200), *mutations.retyped(without, 200)):
        path.write_bytes(content)
        for use in (directory.kind, directory.method, directory.read_config, directory.images, _checked(directory)):
            try:
                use()
            except InputError as error:
                assert len(str(error).splitlines()) == 1


def _checked(directory: RunDirectory) -> Callable[[], None]:
    return lambda: directory.check(recipe("debug_tiny"), {"data.source": "other images"})
