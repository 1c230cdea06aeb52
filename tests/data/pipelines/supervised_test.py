"""Crops with labels: each crop has the class of its image, on any worker and from any step on."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.data.pipelines import supervised
from seer_tf.data.pipelines.read import unreadable_images_named
from seer_tf.data.pipelines.supervised import supervised_dataset
from seer_tf.data.sources.base import Source
from seer_tf.errors import InputError
from seer_tf.finetuning.config import distorted_crops, plain_crops

_NUM_IMAGES, _GLOBAL_BATCH = 21, 6


class _Greys(Source):
    """Image n is grey with level 10 n."""

    def __init__(self, broken: int | None = None) -> None:
        self.ids = [str(number) for number in range(_NUM_IMAGES)]
        levels = np.repeat(np.arange(_NUM_IMAGES, dtype=np.uint8) * 10, 12 * 12 * 3).reshape([-1, 12, 12, 3])
        self._encoded = [tf.io.encode_png(image).numpy() for image in levels]
        if broken is not None:
            self._encoded[broken] = b"no image"

    def read(self, index: int) -> bytes:
        return self._encoded[index]


_LABELS = np.arange(_NUM_IMAGES) * 7 % 5


def _batches(num_steps: int, **arguments: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    whole: dict[str, Any] = {"local_batch_size": _GLOBAL_BATCH, "first_image_in_batch": 0, "first_step": 0, **arguments}
    crops = plain_crops(8)
    stream = supervised_dataset(_Greys(), _LABELS, crops, global_batch_size=_GLOBAL_BATCH, seed=3, **whole)
    return [(images.numpy(), labels.numpy()) for images, labels in stream.take(num_steps)]


def test_a_crop_has_the_class_of_its_image():
    """The batches reach across the end of an epoch. The test fails if images and labels have different permutations."""
    whole = _batches(7)
    numbers = np.concatenate([images[:, 0, 0, 0] // 10 for images, _ in whole])
    assert whole[0][0].shape == (_GLOBAL_BATCH, 8, 8, 3)
    assert np.concatenate([labels for _, labels in whole]).tolist() == _LABELS[numbers].tolist()
    assert sorted(numbers[:_NUM_IMAGES]) == list(range(_NUM_IMAGES))
    second_half = _batches(3, local_batch_size=3, first_image_in_batch=3, first_step=2)
    for (images, labels), (half_images, half_labels) in zip(whole[2:5], second_half, strict=True):
        np.testing.assert_array_equal(images[3:], half_images)
        assert labels[3:].tolist() == half_labels.tolist()


def _with_a_broken_image() -> tf.data.Dataset:
    return supervised_dataset(
        _Greys(broken=4),
        _LABELS,
        plain_crops(8),
        local_batch_size=7,
        global_batch_size=7,
        first_image_in_batch=0,
        seed=3,
        first_step=0,
    )


def test_too_many_bad_images_are_an_error():
    """One of 21 is more than 1 %."""
    with pytest.raises(InputError, match="the last 4: not an image; take such images out"), unreadable_images_named():
        list(_with_a_broken_image().take(6))


def test_an_image_of_the_same_class_replaces_a_bad_one(monkeypatch):
    monkeypatch.setattr(supervised, "_MAX_BAD_FRACTION", 0.1)
    batches = [(images.numpy(), labels.numpy()) for images, labels in _with_a_broken_image().take(3)]
    numbers = np.concatenate([images[:, 0, 0, 0] // 10 for images, _ in batches])
    labels = np.concatenate([labels for _, labels in batches])
    assert labels.tolist() == _LABELS[numbers].tolist() and sorted(labels) == sorted(_LABELS)
    assert 4 not in numbers and numbers.tolist().count(9) == 2  # the next of class 3


def test_plain_and_distorted_crops_have_their_probabilities():
    """The distorted crops have the same boxes, and differ only in colour and blur."""
    plain, distorted = plain_crops(32), distorted_crops(32)
    assert (plain.min_area_fractions, plain.color_jitter_probability, plain.blur_probability) == ((0.08,), 0.0, 0.0)
    assert (distorted.min_area_fractions, distorted.color_jitter_probability) == ((0.08,), 0.8)
