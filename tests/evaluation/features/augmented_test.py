"""Augmented features: each image keeps its label, and epochs differ."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.evaluation.features.augmented import cropped_batches, flipped_batches
from seer_tf.evaluation.features.feature_set import Extractor
from seer_tf.evaluation.features.stages import Pooling

_LEVELS = (10, 60, 110, 160, 210)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Five images of 30 x 20 px. The left third is black, and the rest has the image's own level."""
    directory: Path = tmp_path_factory.mktemp("images")
    for number, level in enumerate(_LEVELS):
        pixels = np.full([20, 30, 3], level, np.uint8)
        pixels[:, :10] = 0
        Image.fromarray(pixels).save(directory / f"{number}.png")
    return open_source(f"folder:{directory}")


def _extractor() -> Extractor:
    """Returns an extractor whose features are the levels at the middle of the left edge and of the right edge."""

    def features(images: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"edges": tf.cast(images[:, 6, 1::9, 0], tf.float32)}  # columns 1 and 10

    transform = Transform(12, squash=True)
    return Extractor(features, {"edges": Pooling(1, 1, 2)}, "edges", "digest", transform)


def test_whole_images_are_flipped_at_random_and_keep_their_labels(source: Source) -> None:
    """The test fails if labels do not follow their images, if images are cut, or if all or none are flipped."""
    labels, seen, orders = np.arange(5) * 7, [], []
    batches = flipped_batches(_extractor(), source, labels, 2, seed=3)
    for epoch in range(3):
        parts = list(batches(epoch))
        orders.append([numbers.tolist() for _, numbers in parts])
        assert [len(numbers) for numbers in orders[-1]] == [2, 2]
        for features, numbers in parts:
            for edges, label in zip(np.asarray(features["edges"]), numbers, strict=True):
                level = _LEVELS[label // 7]
                assert tuple(edges) in {(0, level), (level, 0)}
                seen.append((int(label), bool(edges[0])))
    assert {label for label, _ in seen} == set(labels.tolist())
    assert 2 < sum(flipped for _, flipped in seen) < 10
    assert orders[0] == [numbers.tolist() for _, numbers in batches(0)] != orders[1]


def test_crops_keep_their_labels(source: Source) -> None:
    """A crop has only the level of its image, and black."""
    labels = np.arange(5)
    batches = cropped_batches(_extractor(), source, labels, 5, seed=0)
    for epoch in range(2):
        ((features, numbers),) = batches(epoch)
        assert sorted(numbers.tolist()) == [0, 1, 2, 3, 4]
        levels = np.asarray(features["edges"])[:, 1]
        assert all(level in (0, _LEVELS[number]) for level, number in zip(levels, numbers, strict=True))
