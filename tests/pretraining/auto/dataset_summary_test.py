"""The summary of a data set from a few images before a run."""

import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError
from seer_tf.pretraining.auto import dataset_summary
from seer_tf.pretraining.auto.dataset_summary import _shrunk, summarize


def _folder(directory: pathlib.Path, images: list[np.ndarray]) -> str:
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        (directory / f"{number:03d}.png").write_bytes(buffer.getvalue())
    return f"folder:{directory}"


def _noise(seed: int, height: int = 24, width: int = 40) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, [4, 4, 3], np.uint8)
    return np.array(Image.fromarray(coarse).resize((width, height)))


def test_the_summary_has_the_median_of_the_shorter_sides(tmp_path):
    images = [_noise(seed, height=height) for seed, height in enumerate((16, 24, 32))]
    found = summarize(open_source(_folder(tmp_path, images)))
    assert (found.num_images, found.shorter_side_px) == (3, 24)


def test_the_cpu_summarises_images_for_every_default_device(tmp_path, monkeypatch):
    devices = []

    def shrunk(image):
        devices.append(tf.DeviceSpec.from_string(tf.identity(image).device).device_index)
        return _shrunk(image)

    monkeypatch.setattr(dataset_summary, "_shrunk", shrunk)
    source = open_source(_folder(tmp_path, [_noise(seed) for seed in range(2)]))
    with tf.device("CPU:1"):  # instead of a GPU
        summarize(source)
    assert devices == [0, 0]


def test_the_built_in_set_is_accepted():
    assert summarize(open_source("builtin")).shorter_side_px >= 32


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ([np.zeros([32, 32, 3], np.uint8)] * 5, "has a single colour"),
        ([np.full([32, 32, 3], 50 * number, np.uint8) for number in range(5)], "has a single colour"),
        ([_noise(0)] * 5, "all show the same picture"),
    ],
    ids=["black", "one colour each", "one picture"],
)
def test_images_with_one_colour_or_one_picture_are_refused(tmp_path, images, said):
    with pytest.raises(InputError, match=said):
        summarize(open_source(_folder(tmp_path, images)))


def test_many_copies_of_one_picture_are_accepted_if_others_differ(tmp_path):
    summarize(open_source(_folder(tmp_path, [_noise(0)] * 9 + [_noise(1)])))
