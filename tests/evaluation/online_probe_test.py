"""The probe of a run: right where the features tell, and particular about its images."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.selection import Selection
from seer_tf.data.sources import open_source
from seer_tf.errors import InputError
from seer_tf.evaluation.online_probe import KNN, LINEAR, OnlineProbe
from seer_tf.recipes import recipe
from seer_tf.train.state import initial_model


def test_dark_and_bright_images_are_told_apart_and_the_model_stays(tmp_path: pathlib.Path) -> None:
    random = np.random.default_rng(0)
    for name, low in (("bright", 150), ("dark", 0)):
        (tmp_path / name).mkdir()
        for number in range(20):
            image = random.integers(low, low + 100, (32, 32, 3)).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / name / f"{number}.png")
    config = recipe("debug_tiny")
    model = initial_model(config)
    before = [variable.numpy() for variable in model.variables]
    probe = OnlineProbe(open_source(f"folder:{tmp_path}"), open_source("builtin:test"), config).of(model)
    assert probe() == {KNN: 1.0, LINEAR: 1.0}
    assert all(np.array_equal(old, new) for old, new in zip(before, model.variables, strict=True))


def test_training_images_and_images_without_labels_are_refused(tmp_path: pathlib.Path) -> None:
    config, labelled = recipe("debug_tiny"), Selection(open_source("builtin:test"), range(40))
    with pytest.raises(InputError, match=r"share images with the training data \((.*) is \1 there"):
        OnlineProbe(labelled, labelled, config)
    (tmp_path / "0.jpg").write_bytes(labelled.read(0))
    with pytest.raises(InputError, match="no labels of two classes"):
        OnlineProbe(open_source(f"folder:{tmp_path}"), labelled, config)
