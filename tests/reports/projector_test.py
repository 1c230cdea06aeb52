"""Files for TensorBoard's projector, as TensorBoard serves them, and the page with the image map."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from seer_tf.errors import InputError
from seer_tf.evaluation.protocols.image_map import image_map
from seer_tf.reports.image_map import placed, write_image_map
from seer_tf.reports.projector import write_projector
from tests.reports.page_reader import read_page

_NAMES = ["a.png", "b\tc.png", "d/é.png"]


def _two_groups(num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns features around two directions, float64 [N, 8], and the direction of each image."""
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 2, num_images)
    return np.eye(8)[groups] + 0.1 * generator.normal(size=[num_images, 8]), groups


def test_tensorboard_serves_features_names_and_thumbnails(tmp_path: pathlib.Path) -> None:
    features = np.arange(6.0).reshape(3, 2) / 3
    thumbnails = np.full([3, 4, 4, 3], [[[[10]]], [[[20]]], [[[30]]]], np.uint8)
    write_projector(tmp_path, {"avgpool": features}, thumbnails, _NAMES, ["cat", "", "dog"])
    plugin = ProjectorPlugin(base_plugin.TBContext(logdir=str(tmp_path)))
    routes = plugin.get_plugin_apps()

    def served(route: str, query: str = "run=.&name=avgpool") -> bytes:
        answer = Client(routes[route]).get(f"{route}?{query}")
        assert answer.status_code == 200
        return answer.get_data()

    assert b"avgpool" in served("/info")
    rows = np.frombuffer(served("/tensor"), np.float32).reshape(3, 2)
    np.testing.assert_allclose(rows, features, rtol=1e-5)
    lines = served("/metadata").decode().splitlines()
    assert lines == ["image\tclass", "a.png\tcat", "b\\tc.png\t", "d/é.png\tdog"]
    sprite = np.asarray(Image.open(io.BytesIO(served("/sprite_image"))))
    assert sprite.shape == (8, 8, 3) and sprite[::4, ::4, 0].tolist() == [[10, 20], [30, 0]]


def test_similar_images_are_near_each_other_on_the_map() -> None:
    features, groups = _two_groups(60)
    places = image_map(7 * features, seed=1)
    assert places.shape == (60, 2) and places.min() == 0 and places.max() == 1
    distances = np.linalg.norm(places[:, np.newaxis] - places, axis=-1) + 9 * np.eye(60)
    assert (groups[distances.argmin(axis=1)] == groups).mean() > 0.95
    np.testing.assert_array_equal(image_map(7 * features, seed=1), places)


def test_a_map_needs_three_images() -> None:
    assert image_map(_two_groups(3)[0]).shape == (3, 2)
    with pytest.raises(InputError, match="at least 3 images, and there are 2"):
        image_map(_two_groups(2)[0])


def test_the_page_holds_every_image_at_its_place(tmp_path: pathlib.Path) -> None:
    pixels = [np.full([8, 8, 3], level, np.uint8) for level in (10, 20, 30)]
    images = placed(pixels, np.array([[0.0, 0.5], [1.0, 0.25], [0.125, 1.0]]), ["<a>: cat", "b", "c"])
    write_image_map(images, tmp_path / "map.html", title="Map of images", summary="Three images.")
    reader = read_page((tmp_path / "map.html").read_text("utf-8"))
    assert [image["title"] for image in reader.images] == ["<a>: cat", "b", "c"] and "Three images." in reader.text
    assert [str(image["style"]).partition("left: ")[2] for image in reader.images] == [
        "0.00%; top: 50.00%",
        "100.00%; top: 25.00%",
        "12.50%; top: 100.00%",
    ]
