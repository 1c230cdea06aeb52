"""Methods are compared as a user does it: bad input, a whole comparison, a kill in the middle, more seeds."""

import json
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

import seer_tf
from seer_tf.api.contestants import TWO_CROPS, Contestants, settings_of
from seer_tf.data.sources.builtin import class_names, render_image
from seer_tf.distributed.devices import Devices
from seer_tf.errors import InputError
from seer_tf.training.run_directory import RunDirectory
from tests.places import ROOT

_METHODS = ("swav", "moco")
_SETTINGS = {"backbone.variant": "90MF", "head.hidden_dims": 16, "run.checkpoint_every_steps": 1}


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 48 images in three classes."""
    folder = tmp_path_factory.mktemp("images")
    for number in range(160):
        encoded, label = render_image("train", number)
        if label < 3:
            file = folder / class_names[label] / f"{number}.jpg"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(encoded)
    return folder


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "give either `minutes`, the time of each run, or `steps`"),
        ({"steps": 3, "minutes": 1.0}, "give either `minutes`"),
        ({"steps": 0}, "`steps=0` must be 1 or more"),
        ({"steps": 3, "seeds": 0}, "`seeds=0` must be 1 or more"),
        ({"steps": 3, "methods": ["swav", "dino"]}, "there is no method to compare 'dino'"),
        ({"steps": 3, "methods": ["swav"]}, "`methods=swav` must be two different ones or more"),
        ({"steps": 3, "settings": {"run.steps": 4}}, "there is no field of run 'steps'"),
        ({"steps": 3, "train_data": "builtin"}, "`train_data` without `test_data` measures nothing"),
        ({"steps": 3, "test_data": "builtin"}, "`test_data` is the training data, builtin"),
        ({"steps": 3, "test_data": "nowhere"}, "nowhere"),
        ({"minutes": 0.01}, "`minutes=0.01` must be 0.1 or more"),
    ],
)
def test_bad_input_is_an_input_error_and_trains_nothing(
    options: dict[str, Any], sentence: str, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match=sentence):
        seer_tf.compare_methods("builtin", tmp_path / "output", **options)
    assert not list(tmp_path.glob("output/runs*")) and not list(tmp_path.glob("output/*.json"))


def test_a_directory_with_something_else_is_refused(tmp_path: pathlib.Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="holds something else than a comparison"):
        seer_tf.compare_methods("builtin", tmp_path, steps=3)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_test_images_without_labels_are_refused(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, [4, 20, 20, 3]).astype(np.uint8)
    with pytest.raises(InputError, match="the test data has no labels"):
        seer_tf.compare_methods(images, tmp_path / "output", steps=3, test_data=pixels)


def test_settings_of_a_method_count_for_that_method() -> None:
    given = ["run.seed=3", "swav.epsilon=0.1", "moco.queue_length=8"]
    assert settings_of("moco", given) == ["run.seed=3", "moco.queue_length=8"]
    assert settings_of(TWO_CROPS, given) == ["run.seed=3", "swav.epsilon=0.1"]


@pytest.mark.slow
def test_all_contestants_have_one_network_and_equal_numbers_of_images() -> None:
    names = (TWO_CROPS, "swav", "simclr", "moco", "byol")
    settings = ["crops.brightness=0.4"]
    found: dict[str, Any] = Contestants(names, "builtin", None, 4, settings, Devices(), lambda text: None).configs()
    assert tuple(found) == names
    first = found["swav"]
    for name, config in found.items():
        assert config.backbone == first.backbone and config.run == first.run
        assert config.data == first.data and config.crops.sizes_px[0] == first.crops.sizes_px[0]
        assert config.crops.num == ((2, 4) if name == "swav" else (2,))
    assert found[TWO_CROPS].crops.min_area_fractions == first.crops.min_area_fractions[:1]


def started(images: pathlib.Path, output: pathlib.Path, seeds: int) -> subprocess.Popen[str]:
    flags = [f"--data={images}", f"--output={output}", "--steps=4", f"--seeds={seeds}"]
    flags.append(f"--methods={','.join(_METHODS)}")
    settings = [f"--set={field}={value}" for field, value in {**_SETTINGS, "run.deterministic": "true"}.items()]
    command = [
        sys.executable,
        "-m",
        "seer_tf.cli",
        "compare-methods",
        *flags,
        f"--methods={','.join(_METHODS)}",
        *settings,
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(images: pathlib.Path, output: pathlib.Path, seeds: int) -> str:
    with started(images, output, seeds) as process:
        printed, errors = process.communicate(timeout=1800)
    assert process.returncode == 0, errors
    return printed


@pytest.mark.slow
def test_a_killed_comparison_continues_and_takes_more_seeds(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    second = RunDirectory(tmp_path / "killed" / "runs" / "moco-seed-0")
    with started(images, tmp_path / "killed", seeds=1) as process:
        deadline = time.monotonic() + 1200
        while second.newest_checkpoint() is None and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert second.checkpoint_steps()
    printed = finished(images, tmp_path / "killed", seeds=1)
    assert "run 1 of 2: swav, seed 0" not in printed and "run 2 of 2: moco, seed 0" in printed
    assert "settings of" not in printed and "some method has one run only" in printed
    finished(images, tmp_path / "whole", seeds=1)
    killed, whole = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("killed", "whole"))
    for one, other in zip(killed["entries"], whole["entries"], strict=True):
        for key in ("name", "seed", "network", "steps", "batch", "crops", "rank_me", "accuracies"):
            assert one[key] == other[key], (key, one, other)
    assert killed["baselines"] == whole["baselines"]

    printed = finished(images, tmp_path / "killed", seeds=2)
    assert "run 3 of 4: swav, seed 1" in printed and "run 2 of 4" not in printed
    assert "Games and Howell" in printed and "over 2 seeds" in printed
    with pytest.raises(InputError, match=r"holds another comparison \(length: 4 steps, now 5 steps"):
        seer_tf.compare_methods(
            images,
            tmp_path / "killed",
            steps=5,
            methods=_METHODS,
            settings={**_SETTINGS, "run.deterministic": True},
        )


@pytest.mark.slow
def test_images_in_memory_without_labels(tmp_path: pathlib.Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, [24, 40, 40, 3]).astype(np.uint8)
    found = seer_tf.compare_methods(
        images, tmp_path / "output", steps=4, seeds=1, methods=["moco", "byol"], settings=_SETTINGS
    )
    assert found.is_complete and found.stopped_by is None
    assert found.recommendation()[0].startswith("Without labels")
    assert [entry.accuracies for entry in found.entries] == [{}, {}]
    assert (tmp_path / "output" / "comparison.html").exists()
