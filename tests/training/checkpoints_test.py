"""Checkpoints hold every variable by name. The newest undamaged checkpoint is restored, and a model loads from it."""

import json
import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.methods.swav.state import TrainState
from seer_tf.networks.pretrained import load_model
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.checkpoints import About, Checkpoints, Quality, about, licence, steps_to_keep
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import model_variables
from tests import mutations

Run = tuple[RunDirectory, TrainState, Checkpoints]


@pytest.fixture(scope="module")
def built() -> TrainState:
    """A state that all tests share. A test that uses the state assigns its variables."""
    return TrainState(recipe("debug_tiny"))


@pytest.fixture
def run(tmp_path: pathlib.Path, built: TrainState) -> Run:
    """A run directory with one checkpoint at step 3. All variables differ from their initial values."""
    directory = RunDirectory(tmp_path / "run")
    directory.claim(built.config)
    random = np.random.default_rng(0)
    for variable in built.named_variables().values():
        variable.assign(random.uniform(1, 2, variable.shape) if variable.dtype.is_floating else 3)
    checkpoints = Checkpoints(directory, built)
    checkpoints.save()
    checkpoints.wait()
    return directory, built, checkpoints


def data_file(directory: RunDirectory, step: int) -> pathlib.Path:
    (file,) = directory.checkpoint(step).glob("*.data*")
    return file


def test_every_variable_is_restored_bit_for_bit(run: Run) -> None:
    directory, saved, _ = run
    restored = TrainState(recipe("debug_tiny"))
    assert Checkpoints(directory, restored).restore_latest() == 3
    for name, variable in restored.named_variables().items():
        np.testing.assert_array_equal(variable, saved.named_variables()[name], err_msg=name)


@pytest.mark.parametrize("name", ["lr=[0.6]", "[", "a\\b", "a?b*", "a b%20"])
def test_a_path_may_contain_brackets_and_wildcards(tmp_path: pathlib.Path, built: TrainState, name: str) -> None:
    directory = RunDirectory(tmp_path / name)
    directory.claim(built.config)
    checkpoints = Checkpoints(directory, built)
    built.step.assign(3)
    checkpoints.save()
    checkpoints.wait()
    built.step.assign(0)
    assert checkpoints.restore_latest() == 3


def test_a_checkpoint_has_the_state_at_the_time_of_the_save(run: Run) -> None:
    """The background thread writes while the variables change."""
    directory, state, checkpoints = run
    state.step.assign(4)
    before = {name: variable.numpy() for name, variable in state.named_variables().items()}
    checkpoints.save()
    change = tf.function(lambda: [v.assign(tf.zeros_like(v)) for v in state.named_variables().values()])
    change()
    assert checkpoints.restore_latest() in (3, 4)  # each of the two checkpoints is complete
    checkpoints.wait()
    assert checkpoints.restore_latest() == 4
    for name, variable in state.named_variables().items():
        np.testing.assert_array_equal(variable, before[name], err_msg=name)


def test_a_checkpoint_has_weights_velocities_and_statistics(built: TrainState) -> None:
    names = built.named_variables()
    assert {f"lars/velocity/{v.path}" for v in built.model.trainable_variables} < set(names)
    assert {f"model/{v.path}" for v in built.model.variables} < set(names)
    assert any(name.endswith("moving_variance") for name in names)
    assert {"step", "lars/iterations"} < set(names)


def test_a_model_is_loaded_trained_and_untrained(run: Run) -> None:
    directory, saved, _ = run
    config, trained = load_model(directory.path)
    assert config == recipe("debug_tiny")
    for name, variable in model_variables(trained).items():
        np.testing.assert_array_equal(variable, saved.named_variables()[name], err_msg=name)
    _, untrained = load_model(directory.path, untrained=True)
    initial = TrainState(config).named_variables()
    for name, variable in model_variables(untrained).items():
        np.testing.assert_array_equal(variable, initial[name], err_msg=name)


def test_a_damaged_checkpoint_is_skipped_with_a_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    directory, state, checkpoints = run
    state.step.assign(5)
    checkpoints.save()
    checkpoints.wait()
    content = bytearray(data_file(directory, 5).read_bytes())
    content[len(content) // 2] ^= 0xFF
    for damaged in (bytes(content), content[:1000]):
        data_file(directory, 5).write_bytes(damaged)
        caplog.clear()
        assert checkpoints.restore_latest() == 3
        assert "step-5 is damaged" in caplog.text
        assert "trying the one before it" in caplog.text
    (directory.checkpoint(5) / "tensors.index").unlink()
    assert checkpoints.restore_latest() == 3
    state.step.assign(4)
    checkpoints.save()
    checkpoints.wait()
    # The damaged checkpoint is removed before all later checkpoints.
    assert directory.checkpoint_steps() == [3, 4]


@pytest.mark.parametrize("without", [(), ("checksum",)])
def test_damage_to_about_json_loses_no_tensor_and_stops_no_run(run: Run, without: tuple[str, ...]) -> None:
    """Bytes and types change. The checkpoint is still restored, and the background writer continues."""
    directory, state, checkpoints = run
    state.model.licence = "some licence"
    for step, quality in ((3, None), (4, Quality("k-NN", 0.5))):
        state.step.assign(step)
        checkpoints.save(quality)
        checkpoints.wait()
    path = directory.checkpoint(4) / "about.json"
    content = json.loads(path.read_bytes())
    good = json.dumps({key: value for key, value in content.items() if key not in without}).encode()
    contents = [*mutations.flipped(good, 200 if not without else 0), *mutations.retyped(good, 200, without=without)]
    for damaged in contents:
        path.write_bytes(damaged)
        found = about(directory.checkpoint(4))
        assert found in (None, About(4, Quality("k-NN", 0.5), "some licence")) or without
        steps_to_keep({4: None if found is None else found.quality}, 1, 0)
    path.write_bytes(b"\xff{")
    assert checkpoints.restore_latest() == 4
    state.step.assign(5)
    checkpoints.save(Quality("k-NN", 0.4))
    checkpoints.wait()
    assert directory.checkpoint_steps() == [4, 5]
    assert licence(directory.checkpoint(4)) == "some licence"  # from the other checkpoint
    state.model.licence = ""


def test_a_run_with_only_damaged_checkpoints_gets_one_sentence(run: Run) -> None:
    directory, state, checkpoints = run
    before = {name: variable.numpy() for name, variable in state.named_variables().items()}
    data_file(directory, 3).write_bytes(b"")
    with pytest.raises(InputError, match="every checkpoint in .* is damaged"):
        checkpoints.restore_latest()
    with pytest.raises(InputError, match="step-3 is damaged .*give another one"):
        load_model(directory.path, checkpoint=directory.checkpoint(3))
    assert all(np.array_equal(before[name], variable) for name, variable in state.named_variables().items())


def test_a_run_without_checkpoint_gets_one_sentence(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(recipe("debug_tiny"))
    with pytest.raises(InputError, match="has no checkpoint yet"):
        load_model(directory.path)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("head.num_prototypes=9", "another network: .*head/prototypes"),
        ("swav.queue_length=16", "from a run with another config: it lacks queue/"),
    ],
)
def test_another_config_is_refused(run: Run, setting: str, expected: str) -> None:
    directory, _, _ = run
    other = TrainState(configs.override(recipe("debug_tiny"), [setting]))
    with pytest.raises(InputError, match=expected):
        Checkpoints(directory, other).restore_latest()


def test_the_last_and_the_best_checkpoints_and_one_in_each_interval_are_kept(tmp_path: pathlib.Path) -> None:
    config = configs.override(recipe("debug_tiny"), ["run.keep_checkpoints=2", "run.keep_every_steps=4"])
    directory, state = RunDirectory(tmp_path), TrainState(config)
    checkpoints = Checkpoints(directory, state)
    for step, worth in enumerate((0.1, 0.1, 0.5, 0.2, 0.2, 0.3, 0.1), start=1):
        state.step.assign(step)
        checkpoints.save(Quality("probe/knn_top1", worth))
    checkpoints.wait()
    assert directory.checkpoint_steps() == [3, 4, 6, 7]
    assert directory.newest_checkpoint() == tmp_path / "checkpoints" / "step-7"
    assert Checkpoints(directory, state).restore_latest() == 7


def test_only_qualities_with_the_same_measure_are_compared() -> None:
    old, new = Quality("features/rank_me", 30.0), Quality("probe/knn_top1", 0.2)
    assert steps_to_keep({1: old, 2: new, 3: new, 4: None}, num_last=1, every_steps=0) == {2, 4}
    assert steps_to_keep({1: old, 2: None}, num_last=1, every_steps=0) == {1, 2}
    assert steps_to_keep({}, num_last=1, every_steps=0) == set()


def test_files_that_a_killed_writer_left_are_removed(run: Run) -> None:
    directory, _, checkpoints = run
    unfinished = directory.checkpoints / "step-4.unfinished"
    unfinished.mkdir()
    (unfinished / "tensors.data-00000-of-00001").write_bytes(b"half")
    assert checkpoints.restore_latest() == 3
    assert [path.name for path in directory.checkpoints.iterdir()] == ["step-3"]


def test_a_run_directory_that_was_removed_gets_one_sentence_and_is_not_made_again(
    tmp_path: pathlib.Path, built: TrainState
) -> None:
    checkpoints = Checkpoints(RunDirectory(tmp_path / "run"), built)
    checkpoints.save()
    with pytest.raises(InputError, match="run was removed while the run was training, so no checkpoint can be writ"):
        checkpoints.wait()
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_gets_one_sentence_and_loses_nothing(tmp_path: pathlib.Path, built: TrainState) -> None:
    built.step.assign(0)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "tmpfs", tmp_path], check=True)
    try:
        checkpoints = Checkpoints(RunDirectory(tmp_path), built)
        checkpoints.save()
        built.step.assign(7)
        checkpoints.save()
        with pytest.raises(InputError, match="No space left on device.*the same command continues"):
            checkpoints.wait()
        checkpoints.check()  # the error is raised once
        assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0"]
        assert checkpoints.restore_latest() == 0
    finally:
        subprocess.run(["umount", tmp_path], check=True)
