"""Checkpoints hold every variable, by name, and a model comes back from them."""

import os
import pathlib
import shutil
import subprocess

import numpy as np
import pytest
import tensorflow as tf

from seer_tf import config as configs
from seer_tf.errors import InputError
from seer_tf.recipes import recipe
from seer_tf.train.checkpoints import Checkpoints, load_model
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState, model_variables


@pytest.fixture
def run(tmp_path: pathlib.Path) -> tuple[RunDirectory, TrainState, Checkpoints]:
    """A run directory with one checkpoint, at step 3, of variables that all differ from their initial values."""
    config = recipe("debug_tiny")
    directory, state = RunDirectory(tmp_path / "run"), TrainState(config)
    directory.claim(config)
    random = np.random.default_rng(0)
    for variable in state.named_variables().values():
        variable.assign(random.uniform(1, 2, variable.shape) if variable.dtype.is_floating else 3)
    checkpoints = Checkpoints(directory.checkpoints, state)
    checkpoints.save()
    return directory, state, checkpoints


def test_every_variable_comes_back_bit_for_bit(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, saved, _ = run
    restored = TrainState(recipe("debug_tiny"))
    assert Checkpoints(directory.checkpoints, restored).restore_latest() == 3
    for name, variable in restored.named_variables().items():
        np.testing.assert_array_equal(variable, saved.named_variables()[name], err_msg=name)


def test_weights_velocities_and_statistics_are_all_there() -> None:
    state = TrainState(recipe("debug_tiny"))
    names = state.named_variables()
    assert {f"lars/velocity/{v.path}" for v in state.model.trainable_variables} < set(names)
    assert {f"model/{v.path}" for v in state.model.variables} < set(names)
    assert any(name.endswith("moving_variance") for name in names)
    assert len(names) == len(state.model.variables) + len(state.model.trainable_variables) + 2


def test_a_model_is_loaded_trained_and_untrained(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, saved, _ = run
    config, trained = load_model(directory.path)
    assert config == recipe("debug_tiny")
    for name, variable in model_variables(trained).items():
        np.testing.assert_array_equal(variable, saved.named_variables()[name], err_msg=name)
    _, untrained = load_model(directory.path, untrained=True)
    initial = TrainState(config).named_variables()
    for name, variable in model_variables(untrained).items():
        np.testing.assert_array_equal(variable, initial[name], err_msg=name)


def test_a_damaged_checkpoint_is_one_sentence(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, state, checkpoints = run
    before = {name: variable.numpy() for name, variable in state.named_variables().items()}
    data = next(directory.checkpoints.glob("step-3.data*"))
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 0xFF
    for damaged in (bytes(content), content[:1000]):
        data.write_bytes(damaged)
        with pytest.raises(InputError, match="step-3 cannot be read"):
            checkpoints.restore_latest()
    assert all(np.array_equal(before[name], variable) for name, variable in state.named_variables().items())


def test_a_run_without_checkpoint_is_one_sentence(tmp_path: pathlib.Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(recipe("debug_tiny"))
    with pytest.raises(InputError, match="has no checkpoint yet"):
        load_model(directory.path)


def test_another_network_is_refused(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, _, _ = run
    other = TrainState(configs.override(recipe("debug_tiny"), ["head.num_prototypes=9"]))
    with pytest.raises(InputError, match="another network: model/head/prototypes"):
        Checkpoints(directory.checkpoints, other).restore_latest()


def test_only_the_last_are_kept(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, state, checkpoints = run
    for step in (4, 5):
        state.step.assign(step)
        checkpoints.save()
    assert sorted(file.stem for file in directory.checkpoints.glob("*.index")) == ["step-4", "step-5"]
    assert tf.train.latest_checkpoint(str(directory.checkpoints)).endswith("step-5")


def test_what_a_dead_writer_left_is_removed(run: tuple[RunDirectory, TrainState, Checkpoints]) -> None:
    directory, _, checkpoints = run
    (directory.checkpoints / "step-4_temp").mkdir()
    (directory.checkpoints / "step-4_temp" / "part-00000").write_bytes(b"half")
    assert checkpoints.restore_latest() == 3
    assert not (directory.checkpoints / "step-4_temp").exists()


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("mount"), reason="mounting a small disk needs root")
def test_a_full_disk_is_one_sentence_and_loses_nothing(tmp_path: pathlib.Path) -> None:
    state = TrainState(recipe("debug_tiny"))
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3M", "tmpfs", tmp_path], check=True)
    try:
        checkpoints = Checkpoints(tmp_path, state)
        checkpoints.save()
        state.step.assign(7)
        with pytest.raises(InputError, match="No space left on device.*the same command continues"):
            checkpoints.save()
        assert not list(tmp_path.glob("*_temp"))
        assert checkpoints.restore_latest() == 0
    finally:
        subprocess.run(["umount", tmp_path], check=True)
