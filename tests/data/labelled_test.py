"""What evaluation reads: all images, in order, once, resized and cut as usual."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from seer_tf.data import labelled
from seer_tf.data.source import Source
from seer_tf.errors import InputError


class _Source(Source):
    def __init__(self, num_images: int = 50, labels: bool = True) -> None:
        self.ids = [str(number) for number in range(num_images)]
        self.class_names = ("a", "b", "c") if labels else None

    @property
    def labels(self):
        return None if self.class_names is None else np.arange(self.num_images, dtype=np.int64) % 3

    def read(self, index: int) -> bytes:
        encoded = io.BytesIO()
        Image.new("RGB", (20 + index % 7, 30), (index, 0, 0)).save(encoded, "PNG")
        return encoded.getvalue()


def _photo(height: int, width: int) -> np.ndarray:
    coarse = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 3), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))


def test_every_image_once_in_order_with_its_label_and_a_partial_last_batch():
    batches = list(labelled.labelled_dataset(_Source(), size_px=16, batch_size=20))
    assert [images.shape for images, _ in batches] == [(20, 16, 16, 3), (20, 16, 16, 3), (10, 16, 16, 3)]
    assert {(images.dtype, labels.dtype) for images, labels in batches} == {(tf.uint8, tf.int64)}
    assert np.concatenate([images[:, 0, 0, 0] for images, _ in batches]).tolist() == list(range(50))
    assert np.concatenate([labels for _, labels in batches]).tolist() == [number % 3 for number in range(50)]


def test_images_without_labels():
    source = _Source(labels=False)
    batches = list(labelled.images_dataset(source, size_px=16, batch_size=40))
    assert [images.shape[0] for images in batches] == [40, 10]
    with pytest.raises(InputError, match="no labels"):
        labelled.labelled_dataset(source, size_px=16, batch_size=40)


@pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 61), (40, 40), (300, 200)])
def test_resize_and_crop_is_pillows_within_one_level(height, width):
    image, size = _photo(height, width), 56
    scale = 64 / min(height, width)  # 56 * 256 / 224
    resized = Image.fromarray(image).resize((int(width * scale), int(height * scale)), Image.Resampling.BILINEAR)
    left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
    expected = np.asarray(resized.crop((left, top, left + size, top + size)), int)
    assert np.abs(labelled.resize_and_crop(tf.constant(image), size).numpy() - expected).max() <= 1


def test_an_image_of_the_right_size_stays_as_it_is():
    image = _photo(32, 32)
    assert (labelled.resize_and_crop(tf.constant(image), 32).numpy() == image).all()
