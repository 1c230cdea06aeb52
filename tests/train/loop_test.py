"""The loop: what a run leaves behind, how it ends, and that interruptions do not show in its result."""

import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seer_tf import config as configs
from seer_tf.data.sources import open_source
from seer_tf.data.synthetic import render_image
from seer_tf.errors import InputError
from seer_tf.recipes import recipe
from seer_tf.train.loop import pretrain
from seer_tf.train.run_directory import RunDirectory

_ROOT = pathlib.Path(__file__).parents[2]
_SETTINGS = (
    "data.global_batch_size=8",
    "run.num_steps=6",
    "run.log_every_steps=2",
    "run.checkpoint_every_steps=2",
    "run.steps_per_call=1",
)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 24 images without classes."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(24):
        (folder / f"{index}.jpg").write_bytes(render_image("train", index)[0])
    return folder


def command(images: pathlib.Path, run_dir: pathlib.Path) -> list[str]:
    flags = ["--recipe=debug_tiny", f"--data=folder:{images}", f"--run_dir={run_dir}"]
    return [sys.executable, "experiments/pretrain.py", *flags, *(f"--set={setting}" for setting in _SETTINGS)]


def run_to_the_end(images: pathlib.Path, run_dir: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(images, run_dir), cwd=_ROOT, timeout=240, capture_output=True, text=True)


def final_tensors(run_dir: pathlib.Path) -> dict[str, np.ndarray]:
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints"))
    names = [name for name in reader.get_variable_to_shape_map() if name.startswith("state/")]
    return {name: reader.get_tensor(name) for name in names}


def interrupt(images: pathlib.Path, run_dir: pathlib.Path, number: signal.Signals) -> tuple[int, str]:
    """Starts the run, sends it a signal when its first checkpoint is there, and returns exit status and output."""
    with subprocess.Popen(
        command(images, run_dir), cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        deadline = time.monotonic() + 240
        while not (run_dir / "checkpoints" / "checkpoint").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        output, _ = process.communicate(timeout=60)
    return process.returncode, output


def test_killed_and_interrupted_runs_equal_the_uninterrupted_one(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    whole = run_to_the_end(images, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    assert "6 steps done" in whole.stdout
    expected = final_tensors(tmp_path / "whole")
    assert expected["state/step/.ATTRIBUTES/VARIABLE_VALUE"] == 6

    status, _ = interrupt(images, tmp_path / "killed", signal.SIGKILL)
    assert status == -signal.SIGKILL
    status, output = interrupt(images, tmp_path / "interrupted", signal.SIGINT)
    assert status == 0
    assert "the same command continues from there" in output
    for name in ("killed", "interrupted"):
        assert final_tensors(tmp_path / name)["state/step/.ATTRIBUTES/VARIABLE_VALUE"] < 6
        assert run_to_the_end(images, tmp_path / name).returncode == 0
        actual = final_tensors(tmp_path / name)
        for tensor, value in expected.items():
            np.testing.assert_array_equal(actual[tensor], value, err_msg=f"{name}: {tensor}")


def test_a_run_writes_numbers_and_crops(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    config = configs.override(recipe("debug_tiny"), [*_SETTINGS, f"data.source=folder:{images}"])
    directory = RunDirectory(tmp_path / "run")
    outcome = pretrain(config, open_source(config.data.source), directory)
    assert outcome.step == 6
    assert outcome.stopped_by is None
    events = EventAccumulator(str(directory.tensorboard)).Reload()
    assert set(events.Tags()["tensors"]) == {
        "loss/loss",
        "loss/relative_to_ln_K",
        "optimization/learning_rate",
        "optimization/gradient_norm",
        "optimization/update_norm",
        "prototypes/share_in_use",
        "speed/images_per_second",
        "speed/share_of_time_waiting_for_data",
        "crops",
    }
    losses = {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss/loss")}
    relative = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("loss/relative_to_ln_K")]
    assert list(losses) == [2, 4, 6]
    np.testing.assert_allclose(np.array(list(losses.values())) / np.log(8), relative, rtol=1e-6)


def test_a_number_that_is_not_finite_stops_the_run_before_it_is_saved(
    images: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    settings = [
        *_SETTINGS,
        "schedule.peak_learning_rate=1e38",
        "schedule.warmup_steps=0",
        f"data.source=folder:{images}",
    ]
    config = configs.override(recipe("debug_tiny"), settings)
    with pytest.raises(InputError, match=r"at step \d+ the .* not finite"):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))


def test_an_image_with_broken_pixels_is_one_sentence(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    whole = tf.io.encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).numpy()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    settings = [*_SETTINGS, "data.global_batch_size=25", f"data.source=folder:{folder}"]
    config = configs.override(recipe("debug_tiny"), settings)
    with pytest.raises(InputError, match=r"cannot be decoded \(Invalid PNG data.*prepare_shards"):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("data.global_batch_size=25", "more than the 24 images"), ("head.num_prototypes=25", "more than the 24 images")],
)
def test_too_few_images_are_refused_before_anything_is_written(
    images: pathlib.Path, tmp_path: pathlib.Path, setting: str, expected: str
) -> None:
    config = configs.override(recipe("debug_tiny"), [*_SETTINGS, f"data.source=folder:{images}", setting])
    with pytest.raises(InputError, match=expected):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
