"""The gallery: features and scores of a few images, and the sheets that show them."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.config import override
from seer_tf.data.images.pixel_features import color_histogram
from seer_tf.data.sources.registry import open_source
from seer_tf.data.sources.selection import Selection
from seer_tf.methods.swav.state import initial_model
from seer_tf.pretraining.gallery import Gallery, GalleryOutputs
from seer_tf.pretraining.recipes import recipe
from seer_tf.training.metrics import FEATURE_STD, RANK_ME


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    """Twelve images of one colour each, one of them unreadable, and a network in half precision."""
    folder = tmp_path_factory.mktemp("images")
    for index in range(12):
        Image.fromarray(np.full((40, 40, 3), 20 * index, np.uint8)).save(folder / f"{index:02}.png")
    broken = (folder / "05.png").read_bytes()
    (folder / "05.png").write_bytes(broken[: len(broken) // 2])
    config = override(recipe("debug_tiny"), ["run.precision=mixed_float16"])
    return Gallery(open_source(f"folder:{folder}"), config, initial_model(config))


def test_the_gallery_has_readable_images_at_the_size_of_large_crops(gallery: Gallery) -> None:
    assert gallery.images.shape == (11, 32, 32, 3)
    assert gallery.images[:, 0, 0, 0].tolist() == [20 * index for index in range(12) if index != 5]


def test_the_outputs_have_features_and_scores_of_every_image(gallery: Gallery) -> None:
    outputs = gallery.outputs()
    assert outputs.features.shape == (11, 256)
    assert outputs.scores.shape == (11, 8)
    assert outputs.features.dtype == outputs.scores.dtype == np.float32
    assert np.abs(outputs.scores).max() <= 1.001
    assert 1 <= outputs.numbers()[RANK_ME] <= 11


def test_the_numbers_tell_collapse_from_spread() -> None:
    random = np.random.default_rng(0)
    one_line = GalleryOutputs(np.outer(random.uniform(1, 2, 50), np.ones(16)).astype(np.float32), np.zeros((50, 3)))
    assert one_line.numbers() == pytest.approx({RANK_ME: 1.0, FEATURE_STD: 0.0}, abs=1e-3)
    spread = GalleryOutputs(random.normal(size=(2000, 16)).astype(np.float32), np.zeros((2000, 3)))
    assert spread.numbers() == pytest.approx({RANK_ME: 16, FEATURE_STD: 1.0}, rel=0.02)


def test_sheets_show_the_best_images_and_the_nearest_neighbours(gallery: Gallery) -> None:
    num_images = len(gallery.images)
    angles = np.linspace(0, 1, num_images)  # images with neighbouring numbers have similar directions
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    scores = np.zeros((num_images, 3), np.float32)
    scores[:, 1] = np.linspace(1, 0, num_images)  # prototype 1 is used most, and image 0 is its best image
    scores[10, 2] = 5.0
    outputs = GalleryOutputs(features, scores)
    prototypes, neighbours = gallery.prototype_sheet(outputs), gallery.neighbour_sheet(outputs)
    assert prototypes.shape == (3 * 34, 8 * 34, 3)
    assert neighbours.shape == (8 * 34, 8 * 34, 3)
    shown = [[tile[0, 0, 0] for tile in np.split(row, 8, axis=1)] for row in np.split(prototypes, 3)]
    colors = gallery.images[:, 0, 0, 0].tolist()
    assert shown[0] == colors[:8]
    assert shown[1][0] == colors[10]
    nearest = [tile[0, 0, 0] for tile in np.split(np.split(neighbours, 8)[0], 8, axis=1)]
    assert nearest == colors[:8]


def test_colour_features_have_the_neighbours_of_colour_histograms() -> None:
    config = recipe("debug_tiny")
    gallery = Gallery(Selection(open_source("builtin"), range(120)), config, initial_model(config))
    scores = np.zeros((120, 8), np.float32)
    by_colour = GalleryOutputs(color_histogram(tf.constant(gallery.images)).numpy(), scores)
    assert gallery.neighbours_by_colour(by_colour) == 1.0
    by_chance = GalleryOutputs(np.random.default_rng(0).normal(size=(120, 64)).astype(np.float32), scores)
    assert gallery.neighbours_by_colour(by_chance) == pytest.approx(gallery.chance, abs=0.03)
    assert gallery.chance == 10 / 119
