"""The evaluation's dataset yields every image once, in order."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data.images.transform import Transform
from seer_tf.data.pipelines import evaluation
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.registry import open_source
from seer_tf.errors import InputError


class _Source(Source):
    def __init__(self) -> None:
        self.ids = [str(number) for number in range(50)]

    def read(self, index: int) -> bytes:
        encoded = io.BytesIO()
        Image.new("RGB", (20 + index % 7, 30), (index, 0, 0)).save(encoded, "PNG")
        return encoded.getvalue()


def test_every_image_once_in_order_and_a_partial_last_batch():
    batches = list(evaluation.images_dataset(_Source(), Transform(16), batch_size=20))
    assert [images.shape for images in batches] == [(20, 16, 16, 3), (20, 16, 16, 3), (10, 16, 16, 3)]
    assert {images.dtype for images in batches} == {tf.uint8}
    assert np.concatenate([images[:, 0, 0, 0] for images in batches]).tolist() == list(range(50))


def test_a_truncated_file_is_named(tmp_path):
    for number in range(20):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.jpg")
    whole = (tmp_path / "17.jpg").read_bytes()
    (tmp_path / "17.jpg").write_bytes(whole[: len(whole) // 2])
    images = evaluation.images_dataset(open_source(f"folder:{tmp_path}"), Transform(16), batch_size=4)
    with pytest.raises(InputError, match="^17.jpg: does not decode: .*; make shards"), unreadable_images_named():
        list(images)
