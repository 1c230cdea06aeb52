"""The accuracy of colour alone: for classes with own colours, for classes with any colours, and without classes."""

import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.evaluation.colour import ColourAccuracy, colour_accuracy


def folder(directory: pathlib.Path, *, has_own_colours: bool, classes: tuple[str, ...], num_images: int) -> Source:
    """Returns images of one colour each with some noise.

    Each class has its own colour, or each image a random colour.
    """
    random = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (directory / name).mkdir(parents=True)
        for index in range(num_images):
            low = np.roll([150, 30, 30], number) if has_own_colours else random.integers(0, 200, 3)
            pixels = (low + random.integers(0, 50, (16, 16, 3))).astype(np.uint8)
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return open_source(f"folder:{directory}")


def test_colour_separates_classes_with_own_colours(tmp_path: pathlib.Path) -> None:
    found = colour_accuracy(folder(tmp_path, has_own_colours=True, classes=("a", "b", "c"), num_images=30))
    assert found is not None
    assert dataclasses.astuple(found) == pytest.approx((1.0, 1 / 3))
    assert found.share == 1.0


def test_colour_does_not_separate_classes_with_random_colours(tmp_path: pathlib.Path) -> None:
    found = colour_accuracy(folder(tmp_path, has_own_colours=False, classes=("a", "b"), num_images=60))
    assert found is not None
    assert found.share < 0.35


def test_images_without_enough_classes_give_no_accuracy(tmp_path: pathlib.Path) -> None:
    assert colour_accuracy(folder(tmp_path / "one", has_own_colours=True, classes=(".",), num_images=60)) is None
    assert colour_accuracy(folder(tmp_path / "few", has_own_colours=True, classes=("a", "b"), num_images=10)) is None


def test_the_share_is_zero_at_chance() -> None:
    assert ColourAccuracy(0.617, 0.245).share == pytest.approx(0.4927, abs=1e-4)
    assert ColourAccuracy(0.2, 0.3).share == 0.0
    assert ColourAccuracy(1.0, 1.0).share == 0.0
