"""The probe during a run: its accuracy on features that separate the classes, and its checks of the images."""

import pathlib
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.online_probe import (
    KNN,
    LINEAR,
    PIXELS,
    OnlineProbe,
    better_stage,
    compared_by_own_labels,
)
from seer_tf.methods.swav.state import initial_model
from seer_tf.pretraining.recipes import recipe


@pytest.fixture
def labelled(tmp_path: pathlib.Path) -> Source:
    """Twenty bright and twenty dark images."""
    return _folder(tmp_path / "labelled", {"bright": 150, "dark": 0})


@pytest.fixture
def training(tmp_path: pathlib.Path) -> Source:
    """Other images without classes."""
    return _folder(tmp_path / "training", {".": 80})


def _folder(directory: pathlib.Path, lows: Mapping[str, int], num_images: int = 20) -> Source:
    random = np.random.default_rng(len(lows))
    for name, low in lows.items():
        (directory / name).mkdir(parents=True)
        for number in range(num_images):
            image = random.integers(low, low + 100, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(image).save(directory / name / f"{number}.png")
    return open_source(f"folder:{directory}")


def test_the_probe_separates_dark_and_bright_images_and_leaves_the_model_unchanged(
    labelled: Source, training: Source
) -> None:
    config = recipe("debug_tiny")
    model = initial_model(config)
    before = [variable.numpy() for variable in model.variables]
    probe = OnlineProbe(labelled, training, config)
    measures = probe.of(model)()
    assert measures == {KNN: 1.0, LINEAR: 1.0, PIXELS: 1.0}
    assert probe.conclusion(model).startswith("The network does not beat simple pixels: k-NN 100.0 % with the network")
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))


def test_images_that_are_trained_on_are_left_out(
    labelled: Source, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "both").mkdir()
    for number in range(3):
        (tmp_path / "both" / f"{number}.png").write_bytes(labelled.read(number))
    probe = OnlineProbe(labelled, open_source(f"folder:{tmp_path / 'both'}"), recipe("debug_tiny"))
    assert sum(len(batch) for batch in probe._images) == len(probe._labels) == 37
    assert np.bincount(probe._labels).tolist() == [17, 20]
    assert "3 of 40 probe images are trained on and are left out" in caplog.text


def test_training_images_and_images_without_labels_are_refused(labelled: Source, training: Source) -> None:
    config = recipe("debug_tiny")
    with pytest.raises(InputError, match=r"share images with the training data \((.*) is \1 there"):
        OnlineProbe(labelled, labelled, config)
    with pytest.raises(InputError, match="need labels, with two"):
        OnlineProbe(training, labelled, config)


@pytest.mark.parametrize(
    ("shares", "beginning"),
    [
        (
            {"res2": 0.487, "res3": 0.45, "avgpool": 0.332},
            "One stage of the network has better features: k-NN 48.7 %",
        ),
        ({"res2": 0.36, "res3": 0.35, "avgpool": 0.332}, ""),  # the interval is 5.4 points on each side
        ({"res2": 0.2, "res3": 0.25, "avgpool": 0.332}, ""),
        ({"res2": 1.0, "res3": 1.0, "avgpool": 1.0}, ""),
    ],
)
def test_a_stage_is_named_only_if_it_is_certainly_better(shares: Mapping[str, float], beginning: str) -> None:
    said = better_stage(shares, shares["avgpool"], 300)
    assert said.startswith(beginning) and bool(said) == bool(beginning)


def test_labelled_training_images_are_compared_at_the_end(labelled: Source, tmp_path: pathlib.Path) -> None:
    config = recipe("debug_tiny")
    model = initial_model(config)
    said = compared_by_own_labels(labelled, config, model)
    assert said.startswith("The network does not beat simple pixels: k-NN 100.0 % with the network, 100.0 % with ")
    assert said.endswith("These are training images; the network did not learn from their labels.")
    for file in (tmp_path / "labelled").glob("*/*.png"):
        file.write_bytes(b"damaged")
    said = compared_by_own_labels(labelled, config, model)
    assert said.startswith("The network is not compared with simple pixels: none of 40 images can be used")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_classes", "num_images"),
    [(1200, 2), (400, 3), (110, 12)],
)
def test_with_many_classes_enough_images_of_each_chosen_class_are_drawn(
    tmp_path: pathlib.Path, training: Source, num_classes: int, num_images: int
) -> None:
    """Both accuracies can be computed from the first step on, and memory holds about a thousand images."""
    lows = {f"{number:04d}": number % 150 for number in range(num_classes)}
    config = recipe("debug_tiny")
    probe = OnlineProbe(_folder(tmp_path / "many", lows, num_images), training, config)
    assert 800 <= sum(len(batch) for batch in probe._images) <= 1200
    accuracies = probe.of(initial_model(config))()
    assert set(accuracies) == {KNN, LINEAR, PIXELS} and all(0 <= value <= 1 for value in accuracies.values())


def test_one_image_of_each_class_is_refused_before_the_first_step(tmp_path: pathlib.Path, training: Source) -> None:
    lows = {"bright": 150, "dark": 0, "grey": 80}
    with pytest.raises(InputError, match="need labels, with two images or more"):
        OnlineProbe(_folder(tmp_path / "single", lows, num_images=1), training, recipe("debug_tiny"))
