"""The probe of a run: right where the features tell, and particular about its images."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.source import Source
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.online_probe import KNN, LINEAR, OnlineProbe
from seer_tf.recipes import recipe
from seer_tf.train.state import initial_model


@pytest.fixture
def labelled(tmp_path: pathlib.Path) -> Source:
    """Twenty bright images and twenty dark ones."""
    return _folder(tmp_path / "labelled", bright=150, dark=0)


@pytest.fixture
def training(tmp_path: pathlib.Path) -> Source:
    """Others, of no class."""
    return _folder(tmp_path / "training", **{".": 80})


def _folder(directory: pathlib.Path, **lows: int) -> Source:
    random = np.random.default_rng(len(lows))
    for name, low in lows.items():
        (directory / name).mkdir(parents=True)
        for number in range(20):
            image = random.integers(low, low + 100, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(image).save(directory / name / f"{number}.png")
    return open_source(f"folder:{directory}")


def test_dark_and_bright_images_are_told_apart_and_the_model_stays(labelled: Source, training: Source) -> None:
    config = recipe("debug_tiny")
    model = initial_model(config)
    before = [variable.numpy() for variable in model.variables]
    probe = OnlineProbe(labelled, training, config).of(model)
    assert probe() == {KNN: 1.0, LINEAR: 1.0}
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))


def test_training_images_and_images_without_labels_are_refused(labelled: Source, training: Source) -> None:
    config = recipe("debug_tiny")
    with pytest.raises(InputError, match=r"share images with the training data \((.*) is \1 there"):
        OnlineProbe(labelled, labelled, config)
    with pytest.raises(InputError, match="no labels of two classes"):
        OnlineProbe(training, labelled, config)
