"""Runs that were moved: a user evaluates, exports and continues them with the new paths of their data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seer_tf.training.run_directory import RunDirectory
from tests.class_folders import write_class_folders

_TIMEOUT_SECONDS = 600
_SHORT = [f"--set=run.{field}" for field in ("num_steps=6", "checkpoint_every_steps=3", "log_every_steps=3")]


def _run(name: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seer_tf.cli", name, *arguments],
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_SECONDS,
        cwd=cwd,
    )


def _error(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 2, ran.stderr
    (error,) = [line for line in ran.stderr.splitlines() if line.startswith("error: ")]
    return error


def _done(ran: subprocess.CompletedProcess[str]) -> str:
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def _forget_last(run_dir: Path) -> None:
    """Removes the last checkpoint of a run."""
    shutil.rmtree(RunDirectory(run_dir).checkpoint(6))


def _move(old: Path, new: Path, *names: str) -> None:
    for name in names:
        shutil.copytree(old / name, new / name)
        shutil.rmtree(old / name)


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The new place of `run`, `images` and `test`. The run was started with relative paths in another directory."""
    old, new = tmp_path_factory.mktemp("old"), tmp_path_factory.mktemp("new")
    write_class_folders(old / "images", "train", range(160))
    write_class_folders(old / "test", "test", range(80))
    _done(_run("pretrain", "--recipe=debug_tiny", "--data=images", "--run_dir=run", *_SHORT, cwd=old))
    assert json.loads((old / "run" / "config.json").read_text())["config"]["data"]["source"] == f"folder:{old}/images"
    _move(old, new, "run", "images", "test")
    return new


@pytest.mark.slow
def test_a_moved_run_is_evaluated_exported_and_continued(moved: Path) -> None:
    data = ["--train_data=images", "--test_data=test"]
    assert json.loads(_done(_run("knn", "--run_dir=run", *data, cwd=moved)).splitlines()[-1])["step"] == 6
    assert "name other images for the comparison by --images" in _error(
        _run("export", "--model=run", "--output=model", cwd=moved)
    )
    _done(_run("export", "--model=run", "--images=images", "--output=model", cwd=moved))
    assert (moved / "model" / "saved_model.pb").exists()

    _forget_last(moved / "run")
    again = ["--recipe=debug_tiny", "--run_dir=run", *_SHORT]
    assert "data.source" in _error(_run("pretrain", *again, "--data=test", cwd=moved))
    gone = json.loads((moved / "run" / "config.json").read_text())["config"]["data"]["source"]
    assert "name its new place by --data" in _error(_run("pretrain", *again, f"--data={gone}", cwd=moved))
    assert "6 steps done" in _done(_run("pretrain", *again, "--data=images", cwd=moved))
    _done(_run("export", "--model=run", "--output=model_of_the_noted_images", cwd=moved))


@pytest.mark.slow
def test_a_moved_run_of_fine_tuning_is_exported_and_continued(moved: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for place in (old, new):
        place.mkdir()
    for name in ("run", "images", "test"):
        shutil.copytree(moved / name, old / name)
    flags = ["--recipe=finetune_small", "--set=data.global_batch_size=16", "--train_data=images", "--test_data=test"]
    _done(_run("finetune", *flags, *_SHORT, "--model=run", "--run_dir=tuned", cwd=old))
    _move(old, new, "run", "images", "test", "tuned")

    model = ["--model=tuned", "--part=classifier", "--images=test", "--output=model"]
    _done(_run("export", *model, cwd=new))
    result = _done(_run("robustness", "--model=tuned", "--test_data=test", cwd=new))
    assert json.loads(result.splitlines()[-1])["num_test_images"] == 80
    _forget_last(new / "tuned")
    _done(_run("finetune", *flags, *_SHORT, "--model=run", "--run_dir=tuned", cwd=new))
    assert RunDirectory(new / "tuned").checkpoint_steps()[-1] == 6
