"""Python calls train on arrays and on a folder and export the run. The run equals a run by the command."""

import concurrent.futures
import html.parser
import json
import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import seer_tf
from seer_tf.api.model import Run
from seer_tf.data.sources import builtin
from seer_tf.errors import InputError
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.conclusion import read_conclusion
from seer_tf.training.run_directory import RunDirectory
from tests.places import ROOT

_SHORT = {
    "run.num_steps": 4,
    "run.log_every_steps": 2,
    "run.checkpoint_every_steps": 2,
    "run.steps_per_call": 2,
    "schedule.warmup_steps": 1,
    "swav.freeze_prototypes_steps": 1,
}


def _arrays(split: str, num_images: int) -> tuple[np.ndarray, np.ndarray]:
    encoded, labels = zip(*(builtin.render_image(split, number) for number in range(num_images)), strict=True)
    return np.stack([tf.io.decode_jpeg(image).numpy() for image in encoded]), np.array(labels)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("photos")
    for number in range(40):
        (directory / f"{number}.jpg").write_bytes(builtin.render_image("train", number)[0])
    return directory


@pytest.fixture(scope="module")
def run(folder: pathlib.Path) -> Run:
    return seer_tf.pretrain(folder, folder.parent / "run", recipe="debug_tiny", settings=_SHORT)


def _weights(run: Run) -> list[np.ndarray]:
    return [variable.numpy() for variable in run.backbone.variables]


@pytest.mark.slow
def test_the_run_equals_the_run_of_the_command(run: Run, folder: pathlib.Path) -> None:
    by_command = folder.parent / "by command"
    settings = [f"--set={field}={value}" for field, value in _SHORT.items()]
    command = ["pretrain", "--recipe=debug_tiny", f"--data={folder}", f"--run_dir={by_command}", *settings]
    done = subprocess.run([sys.executable, "-m", "seer_tf.cli", *command], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for ours, theirs in zip(_weights(run), _weights(Run(by_command)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (json.loads(pathlib.Path(path, "config.json").read_text()) for path in (run.path, by_command))
    assert ours == theirs


@pytest.mark.slow
def test_a_run_on_labelled_images_compares_itself_with_pixels(folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for number, photo in enumerate(sorted(folder.iterdir())):
        (tmp_path / "labelled" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tmp_path / "labelled" / str(number % 2))
    run = seer_tf.pretrain(tmp_path / "labelled", tmp_path / "run", recipe="debug_tiny", settings=_SHORT)
    said = read_conclusion(RunDirectory(run.path))
    assert "beat" in said and "k-NN" in said and said.endswith("did not learn from their labels.")


@pytest.mark.slow
def test_a_run_on_unlabelled_images_says_what_is_unknown(run: Run) -> None:
    assert read_conclusion(RunDirectory(run.path)).startswith("Without labels nobody knows ")


@pytest.mark.slow
def test_a_run_shows_its_loss_and_its_last_numbers(run: Run) -> None:
    page = run._repr_html_()
    html.parser.HTMLParser().feed(page)
    assert "<svg" in page and "step 4 of 4" in page and "RankMe" in page
    assert repr(run) == f"<Run {run.path}, step 4 of 4>"
    assert run.steps == [2, 4] and list(run.curves["loss/loss"]) == [2, 4]


@pytest.mark.slow
def test_features_of_arrays_and_of_a_dataset(run: Run) -> None:
    images, labels = _arrays("test", 30)
    model = seer_tf.load(run.path)
    found = model.features((images, labels))
    assert isinstance(model, Run) and found.values.dtype == np.float32 and found.values.shape == (30, 256)
    assert found.labels is not None and found.labels.tolist() == labels.tolist()
    again = model.features(tf.data.Dataset.from_tensor_slices(images))
    np.testing.assert_array_equal(np.asarray(again), found.values)
    assert again.labels is None and len(again) == 30 and "256 numbers" in again._repr_html_()
    checkpoint = seer_tf.load(pathlib.Path(run.path, "checkpoints", "step-2"))
    assert type(checkpoint) is not Run and np.any(checkpoint.features(images).values != found.values)
    result = model.evaluate(train=(images, labels), test=_arrays("train", 20))
    assert result.step == 4 and json.loads(pathlib.Path(run.path, "evaluations.jsonl").read_text())["step"] == 4


@pytest.mark.slow
def test_an_export_serves_the_same_features(run: Run, tmp_path: pathlib.Path) -> None:
    images, _ = _arrays("test", 4)
    written = seer_tf.export(run, tmp_path / "model", formats=("saved_model",))
    side = run.network.size_px
    crops = tf.cast(tf.image.resize(images, [side, side]), tf.uint8)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    served = loaded.serve(crops)["features"]
    np.testing.assert_allclose(served, run.features(crops.numpy()).values, rtol=1e-4, atol=1e-5)
    assert "saved_model" in written._repr_html_()


@pytest.mark.slow
def test_arrays_are_kept_with_the_run_and_continue_it(tmp_path: pathlib.Path) -> None:
    images, _ = _arrays("train", 40)
    first = {**_SHORT, "run.num_steps": 2}
    run = seer_tf.pretrain(images, tmp_path / "run", config=recipe("debug_tiny"), settings=first)
    again = seer_tf.pretrain(images, tmp_path / "run", config=recipe("debug_tiny"), settings=first)
    assert run.steps == again.steps == [2] and run.config.data.source == f"shards:{tmp_path / 'run' / 'shards'}"
    with pytest.raises(InputError, match="the shards there differ"):
        seer_tf.pretrain(images[1:], tmp_path / "run", config=recipe("debug_tiny"), settings=first)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"recipe": "demoo"}, "there is no recipe 'demoo'"),
        ({"recipe": "demo", "minutes": 3}, "`minutes` works only with `recipe=auto`"),
        ({"recipe": "demo", "config": recipe("debug_tiny")}, "`config` and `recipe=demo` are both given"),
        ({"recipe": "demo", "method": "byol"}, "`method=byol` works only with `recipe=auto`"),
        ({"method": "dino"}, "there is no method of recipe auto 'dino'"),
        ({"minutes": 0.01}, "`minutes=0.01` must be 0.1 or more"),
        ({"recipe": "debug_tiny", "settings": {"run.steps": 4}}, "there is no field of run 'steps'"),
        ({"recipe": "debug_tiny"}, "data.global_batch_size=16 is .* 8 images"),
        ({"num_devices": 2}, "TensorFlow has begun to compute with other devices than `num_devices=2`"),
    ],
)
def test_bad_input_is_an_input_error_and_leaves_nothing(
    options: dict[str, Any], sentence: str, tmp_path: pathlib.Path
) -> None:
    images = np.random.default_rng(0).integers(0, 256, [8, 16, 16, 3]).astype(np.uint8)
    with pytest.raises(InputError, match=sentence):
        seer_tf.pretrain(images, tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("method", ["simclr", "moco", "byol"])
def test_auto_derives_a_config_for_another_method(method: str, folder: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The speed trial is a run of the method, and the same call continues the run."""
    length = {} if method == "byol" else {"run.num_steps": 4}
    run = seer_tf.pretrain(folder, tmp_path / "run", method=method, minutes=0.3, settings=length)
    assert run.config.method == method and run.config.recipe == "auto" and run.config.crops.num == (2,)
    assert run.steps[-1] == run.config.run.num_steps
    again = seer_tf.pretrain(folder, tmp_path / "run", method=method, minutes=0.3, settings=length)
    assert again.config == run.config
    with pytest.raises(InputError, match=f"holds a run of {method}; leave out `method=swav`"):
        seer_tf.pretrain(folder, tmp_path / "run", method="swav")


def test_another_thread_is_refused(tmp_path: pathlib.Path) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool, pytest.raises(InputError, match="main thread"):
        pool.submit(seer_tf.pretrain, "builtin", tmp_path / "run").result()
