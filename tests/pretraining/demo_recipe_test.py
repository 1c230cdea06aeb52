"""Recipe `demo`: crops of an image share no hue, and the network learns useful features."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.cli.demo_findings import findings
from seer_tf.config import Config, override
from seer_tf.data.sources.registry import open_source
from seer_tf.pretraining.recipes import recipe
from seer_tf.pretraining.task import batches_from, pretrain
from seer_tf.training.run_directory import RunDirectory

_NUM_BATCHES = 4


def test_crops_of_an_image_have_no_hue_in_common() -> None:
    config = recipe("demo")
    assert abs(_common_hue(config)) < 0.25
    assert _common_hue(override(config, ["crops.hue=0.1"])) > 0.4


def _common_hue(config: Config) -> float:
    """Returns the mean cosine between the hues of an image's two large crops."""
    batches = batches_from(0, config, open_source("builtin"), tf.distribute.get_strategy())
    large = np.concatenate([batch[0].numpy() for batch, _ in zip(batches, range(_NUM_BATCHES), strict=False)])
    means = large.mean(axis=(2, 3)) @ np.exp(2j * np.pi * np.arange(3) / 3)  # [N, 2]
    hues = means / np.maximum(np.abs(means), 1.0)  # near 0 for a grey crop
    return float((hues[:, 0] * hues[:, 1].conj()).real.mean())


@pytest.mark.slow
def test_the_features_are_better_than_untrained_features_and_colour_histograms(tmp_path: pathlib.Path) -> None:
    config = override(recipe("demo"), ["data.source=builtin", "run.seed=1"])
    train, test, directory = open_source("builtin"), open_source("builtin:test"), RunDirectory(tmp_path / "run")
    pretrain(config, train, directory)
    found = findings(directory, train, test)
    pretrained, untrained, histogram, _ = (row.knn for row in found.accuracies)
    assert pretrained >= untrained + 0.20
    assert pretrained > histogram
    before, after = (
        sum(sum(side) for side in sides)
        for sides in zip(*((query.before_right, query.after_right) for query in found.neighbours), strict=True)
    )
    assert after > before
