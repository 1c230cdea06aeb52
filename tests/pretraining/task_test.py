"""Pretraining in the training loop: the files of a run, and the ways in which a run ends."""

import functools
import json
import os
import pathlib
import shutil
import signal
import time
from collections.abc import Mapping

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seer_tf import config as configs
from seer_tf.config import Config
from seer_tf.data.sources.builtin import render_image
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.online_probe import KNN, OnlineProbe
from seer_tf.pretraining.logger import WITHOUT_LABELS, PretrainingLogOptions
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import batches_from, pretrain
from seer_tf.reports.curves import read_events
from seer_tf.reports.units import SHARES, unit
from seer_tf.training import tensor_store
from seer_tf.training.checkpoints import Quality, about
from seer_tf.training.conclusion import read_conclusion
from seer_tf.training.loop import RunResult
from seer_tf.training.run_directory import RunDirectory
from tests.replicas import two_replicas

_SETTINGS = (
    "data.global_batch_size=8",
    "run.num_steps=6",
    "run.log_every_steps=2",
    "run.examine_every_steps=4",
    "run.checkpoint_every_steps=2",
    "run.keep_checkpoints=3",
    "run.steps_per_call=1",
)


def _quality(checkpoint: pathlib.Path) -> Quality | None:
    found = about(checkpoint)
    assert found is not None
    return found.quality


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of 24 images without classes."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(24):
        (folder / f"{index}.jpg").write_bytes(render_image("train", index)[0])
    return folder


@pytest.fixture(scope="module")
def config(images: pathlib.Path) -> Config:
    return configs.override(recipe("debug_tiny"), [*_SETTINGS, f"data.source=folder:{images}"])


@pytest.fixture(scope="module")
def finished(config: Config, tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """The directory of a finished run on one device."""
    directory = RunDirectory(tmp_path_factory.mktemp("run"))
    assert pretrain(config, open_source(config.data.source), directory) == RunResult(6, stopped_by=None)
    return directory


def scalars(directory: RunDirectory, tag: str) -> dict[int, float]:
    events = EventAccumulator(str(directory.tensorboard)).Reload()
    return {event.step: float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)}


def test_a_run_writes_numbers_and_pictures_with_the_most_important_groups_first(finished: RunDirectory) -> None:
    """TensorBoard sorts groups by name and opens the first two groups."""
    tags = EventAccumulator(str(finished.tensorboard)).Reload().Tags()["tensors"]
    groups = sorted({tag.partition("/")[0] for tag in tags} - {"conclusion", "config", "_hparams_"})
    assert groups == ["features", "loss", "prototypes", "quality", "system", "training", "values"]
    assert {"training/crops", "features/neighbours", "prototypes/images"} <= set(tags)
    curves = read_events(finished.tensorboard)
    losses, relative = curves["loss/loss"], curves["loss/relative_to_ln_K"]
    assert list(losses) == list(relative) == [2, 4, 6]
    np.testing.assert_allclose(np.array([*losses.values()]) / np.log(8), [*relative.values()], rtol=1e-6)


@pytest.mark.slow
def test_the_probe_and_the_logs_do_not_change_the_run(
    config: Config, finished: RunDirectory, tmp_path: pathlib.Path
) -> None:
    source, directory = open_source(config.data.source), RunDirectory(tmp_path / "run")
    file = tmp_path / "numbers.jsonl"
    file.write_text('{"step": 2, "loss')  # the last line of a killed process
    probe = OnlineProbe(Selection(open_source("builtin:test"), range(60)), source, config)
    in_calls = configs.override(config, ["run.steps_per_call=2"])
    logged: dict[int, Mapping[str, float]] = {}
    options = PretrainingLogOptions(file, (3, 4), logged.__setitem__, probe.of, probe.conclusion)
    pretrain(in_calls, source, directory, log_options=lambda: options)
    newest, plain = directory.checkpoint(6), finished.checkpoint(6)
    expected = tensor_store.read(plain, tensor_store.shapes(plain))
    for name, tensor in tensor_store.read(newest, tensor_store.shapes(newest)).items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)

    lines = [json.loads(line) for line in file.read_text().splitlines()[1:]]
    assert [line.pop("step") for line in lines] == [2, 4, 6]
    assert list(logged) == [2, 4, 6] and [numbers.keys() for numbers in logged.values()] == [
        line.keys() for line in lines
    ]
    assert logged[6][KNN] == lines[-1][KNN]
    assert [KNN in line for line in lines] == [False, True, True]
    curves = read_events(directory.tensorboard)
    tags = EventAccumulator(str(directory.tensorboard)).Reload().Tags()["tensors"]
    for name in lines[1]:  # the same numbers as in TensorBoard
        written = [line[name] for line in lines if name in line]
        np.testing.assert_allclose([*curves[name].values()], written, rtol=1e-6, err_msg=name)
        assert unit(name)
        assert (f"{name}_percent" in tags) == (name in SHARES), name
        assert name not in SHARES or all(0 <= value <= 1 for value in written)
    assert scalars(directory, f"{KNN}_percent")[6] == pytest.approx(100 * lines[-1][KNN])
    assert _quality(newest) == Quality(KNN, lines[-1][KNN])
    assert _quality(directory.checkpoint(2)) is None  # the probe has not run yet
    assert _quality(plain) == Quality(WITHOUT_LABELS, lines[-1][WITHOUT_LABELS])
    assert any(directory.tensorboard.rglob("*.xplane.pb"))
    assert "simple pixels: k-NN" in read_conclusion(directory)
    assert read_conclusion(finished).startswith("Without labels nobody knows whether the network beats simple pixels: ")


def test_a_log_that_cannot_be_written_gets_one_sentence(config: Config, tmp_path: pathlib.Path) -> None:
    for place, reason in ((tmp_path, "Is a directory"), (tmp_path / "file" / "log", "Not a directory|File exists")):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match=f"`log_json={place}` cannot be written \\(({reason})\\); fix that"):
            source, directory = open_source(config.data.source), RunDirectory(tmp_path / "run")
            pretrain(config, source, directory, log_options=functools.partial(PretrainingLogOptions, json_file=place))


@pytest.mark.slow
def test_a_run_in_trouble_stops_if_on_trouble_is_stop(tmp_path: pathlib.Path) -> None:
    for index in range(10):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / f"{index}.png")
    settings = (*_SETTINGS, f"data.source=folder:{tmp_path}", "run.log_every_steps=4", "run.on_trouble=stop")
    config = configs.override(recipe("debug_tiny"), settings)
    with pytest.raises(InputError, match="step 4: the images do not change: .*look at the crops"):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))
    assert RunDirectory(tmp_path / "run").checkpoint_steps() == [2]


def test_a_finished_run_does_not_change(config: Config, finished: RunDirectory) -> None:
    before = sorted(finished.path.rglob("*"))
    assert pretrain(config, open_source(config.data.source), finished).step == 6
    assert sorted(finished.path.rglob("*")) == before


def test_a_signal_is_told_even_if_it_comes_during_the_last_step(config: Config, tmp_path: pathlib.Path) -> None:
    """What follows a run, as the next one of a comparison, must not begin then."""

    def stop(step: int, _: Mapping[str, float]) -> None:
        if step == config.run.num_steps:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)  # the thread that waits for signals takes note

    source, directory = open_source(config.data.source), RunDirectory(tmp_path / "run")
    options = functools.partial(PretrainingLogOptions, on_log=stop)
    assert pretrain(config, source, directory, log_options=options) == RunResult(6, stopped_by="SIGTERM")
    assert 6 in directory.checkpoint_steps()
    assert pretrain(config, source, directory) == RunResult(6, stopped_by=None)


@pytest.mark.slow
@pytest.mark.multi_replica
def test_replicas_share_the_batches_of_one_device(config: Config) -> None:
    source, strategy = open_source(config.data.source), two_replicas()
    whole = iter(batches_from(3, config, source, tf.distribute.get_strategy()))
    shared = iter(batches_from(3, config, source, strategy))
    for _ in range(2):
        for one, two in zip(next(whole), next(shared), strict=True):
            parts = strategy.experimental_local_results(two)
            assert [part.shape[0] for part in parts] == [4, 4]
            np.testing.assert_array_equal(np.concatenate(parts), one)


@pytest.mark.slow
@pytest.mark.multi_replica
def test_a_run_continues_on_another_number_of_devices(
    config: Config, finished: RunDirectory, tmp_path: pathlib.Path
) -> None:
    """From one device to two, and from two to one: the numbers differ by rounding alone."""
    shutil.copytree(finished.path, tmp_path / "run")
    directory = RunDirectory(tmp_path / "run")
    expected = _tensors(finished)
    for strategy in (two_replicas(), tf.distribute.get_strategy()):
        shutil.rmtree(directory.checkpoint(6))
        result = pretrain(config, open_source(config.data.source), directory, strategy)
        assert result == RunResult(6, stopped_by=None)
        for name, values in _tensors(directory).items():
            np.testing.assert_allclose(values, expected[name], rtol=1e-3, atol=1e-4, err_msg=name)


def _tensors(directory: RunDirectory) -> dict[str, np.ndarray]:
    checkpoint = directory.checkpoint(6)
    return tensor_store.read(checkpoint, tensor_store.shapes(checkpoint))


def test_a_batch_that_does_not_divide_is_refused(config: Config, tmp_path: pathlib.Path) -> None:
    odd = configs.override(config, ["data.global_batch_size=7"])
    with pytest.raises(InputError, match="7 cannot be divided by 2 replicas; take e.g. `data.global_batch_size=6`"):
        pretrain(odd, open_source(config.data.source), RunDirectory(tmp_path / "run"), two_replicas())
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_twenty_steps_in_a_row_that_are_not_finite_stop_the_run(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    settings = [
        *_SETTINGS,
        "schedule.peak_learning_rate=1e38",
        "schedule.warmup_steps=0",
        "run.num_steps=30",
        "run.steps_per_call=10",
        "run.checkpoint_every_steps=30",
        "run.log_every_steps=30",
        f"data.source=folder:{images}",
    ]
    config = configs.override(recipe("debug_tiny"), settings)
    with pytest.raises(InputError, match=r"20 steps in a row .* not finite, at step 2\d \S*/bn/moving"):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))


def test_an_image_with_broken_pixels_gets_one_sentence(images: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    whole = tf.io.encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).numpy()
    (folder / "broken.png").write_bytes(whole[: len(whole) // 2])
    settings = [*_SETTINGS, "data.global_batch_size=25", f"data.source=folder:{folder}"]
    config = configs.override(recipe("debug_tiny"), settings)
    with pytest.raises(InputError, match="1 of 25 images cannot be used.*broken.png: does not decode"):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data.global_batch_size=25", "larger than .*, which has 24"),
        ("head.num_prototypes=25", "larger than .*, which has 24"),
    ],
)
def test_too_few_images_are_refused_before_anything_is_written(
    images: pathlib.Path, tmp_path: pathlib.Path, setting: str, expected: str
) -> None:
    config = configs.override(recipe("debug_tiny"), [*_SETTINGS, f"data.source=folder:{images}", setting])
    with pytest.raises(InputError, match=expected):
        pretrain(config, open_source(config.data.source), RunDirectory(tmp_path / "run"))
    assert not (tmp_path / "run").exists()
