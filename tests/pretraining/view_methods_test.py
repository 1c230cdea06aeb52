"""Whole runs of the methods that compare two views: the log, a network that opens, export, k-NN, and a killed run."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import seer_tf
from seer_tf import config as configs
from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.registry import open_source
from seer_tf.networks.load import load_network
from seer_tf.pretraining.registry import find_method, recipe
from seer_tf.pretraining.task import pretrain
from seer_tf.reports.curves import read_events
from seer_tf.training import tensor_store
from seer_tf.training.metrics import RANK_ME
from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders
from tests.places import ROOT

RECIPES = {"simclr": "simclr_cifar10", "moco": "moco_v2_cifar10", "byol": "byol_cifar10"}
_LOGGED = {
    "simclr": "views/uniformity",
    "moco": "views/accuracy_among_negatives",
    "byol": "training/target_momentum",
}
_SMALL = {
    "crops.sizes_px": "16",
    "data.global_batch_size": "8",
    "head.hidden_dims": "32",
    "head.embedding_dim": "16",
    "run.log_every_steps": "1",
    "run.steps_per_call": "1",
    "schedule.warmup_steps": "0",
}


def settings_of(method: str, num_steps: int) -> list[str]:
    own = {"moco": ["moco.queue_length=16"], "byol": ["byol.predictor_dims=32"]}.get(method, [])
    return [f"{name}={value}" for name, value in _SMALL.items()] + own + [f"run.num_steps={num_steps}"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 32 images for training and 16 for testing, with a folder for each class."""
    folder = tmp_path_factory.mktemp("images")
    for split, number in (("train", 32), ("test", 16)):
        write_class_folders(folder / split, split, range(number))
    return folder


def finished(method: str, images: pathlib.Path, run_dir: pathlib.Path, num_steps: int) -> PretrainingConfig:
    config = configs.override(recipe(RECIPES[method]), settings_of(method, num_steps))
    source = open_source(f"folder:{images / 'train'}")
    assert pretrain(config, source, RunDirectory(run_dir)).step == num_steps
    return config


def check_log_and_network(method: str, config: PretrainingConfig, run_dir: pathlib.Path) -> None:
    directory = RunDirectory(run_dir)
    curves = read_events(directory.tensorboard)
    assert {RANK_ME, _LOGGED[method], "loss/loss", "features/std_times_sqrt_dims"} <= curves.keys()
    assert directory.method() == method and directory.read_config_of(type(config)) == config
    newest = directory.newest_checkpoint()
    assert newest is not None
    saved = tensor_store.read(newest, tensor_store.shapes(newest))
    trained, initial = load_network(run_dir).backbone, find_method(method).model(config).backbone
    for variable in trained.variables:
        np.testing.assert_array_equal(variable, saved[f"model/{variable.path}"])
    assert any(np.any(one != other) for one, other in zip(trained.get_weights(), initial.get_weights(), strict=True))


def test_a_run_is_logged_and_opens(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = finished("simclr", images, tmp_path / "run", num_steps=2)
    check_log_and_network("simclr", config, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("method", RECIPES)
def test_a_run_is_exported_and_evaluated(method: str, images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = finished(method, images, tmp_path / "run", num_steps=3)
    check_log_and_network(method, config, tmp_path / "run")
    run = seer_tf.load(tmp_path / "run")
    result = run.evaluate(train=images / "train", test=images / "test")
    assert (result.evaluation, result.num_train_images) == ("knn", 32) and 0 <= result.value <= 1
    run.export(tmp_path / "export", images=images / "test", formats=["saved_model"])
    assert (tmp_path / "export" / "saved_model.pb").exists()


def started(method: str, images: pathlib.Path, run_dir: pathlib.Path) -> subprocess.Popen[str]:
    flags = [f"--recipe={RECIPES[method]}", f"--data=folder:{images / 'train'}", f"--run_dir={run_dir}"]
    settings = [*settings_of(method, 12), "run.deterministic=true", "run.checkpoint_every_steps=2"]
    command = [sys.executable, "experiments/pretrain.py", *flags, *(f"--set={each}" for each in settings)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("method", RECIPES)
def test_a_kill_does_not_show(method: str, images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Momentum encoder and queue included, bit for bit."""
    with started(method, images, tmp_path / "killed") as process:
        deadline = time.monotonic() + 300
        while RunDirectory(tmp_path / "killed").newest_checkpoint() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert RunDirectory(tmp_path / "killed").checkpoint_steps()[-1] < 12
    tensors = []
    for name in ("killed", "whole"):
        with started(method, images, tmp_path / name) as process:
            _, errors = process.communicate(timeout=600)
        assert process.returncode == os.EX_OK, errors
        newest = RunDirectory(tmp_path / name).newest_checkpoint()
        assert newest is not None
        tensors.append(tensor_store.read(newest, tensor_store.shapes(newest)))
    killed, whole = tensors
    assert killed.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(killed[name], value, err_msg=name)
