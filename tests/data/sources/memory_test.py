"""Images in memory keep every pixel and label in every input form. Bad input is named."""

import numpy as np
import pytest
import tensorflow as tf

from seer_tf.data.sources.memory import MemorySource
from seer_tf.errors import InputError

_IMAGES = np.random.default_rng(0).integers(0, 256, [5, 6, 9, 3]).astype(np.uint8)


def _pixels(source: MemorySource) -> list[np.ndarray]:
    return [tf.io.decode_png(source.read(number)).numpy() for number in range(source.num_images)]


def test_every_pixel_is_kept() -> None:
    source = MemorySource(_IMAGES)
    np.testing.assert_array_equal(_pixels(source), _IMAGES)
    assert (list(source.ids), source.labels, source.class_names) == (["0", "1", "2", "3", "4"], None, None)


@pytest.mark.parametrize("labels", [[7, 3, 3, 9, 7], np.array(["b", "a", "a", "c", "b"])])
def test_classes_are_numbered_in_their_order(labels: list[int] | np.ndarray) -> None:
    source = MemorySource(_IMAGES, labels)
    assert source.labels is not None and source.labels.tolist() == [1, 0, 0, 2, 1]
    assert source.class_names == tuple(str(name) for name in sorted(set(labels)))
    assert source.classes_of(3) == (2,)


def test_a_dataset_and_its_arrays_give_the_same_source() -> None:
    names = ["b", "a", "a", "c", "b"]
    labelled = MemorySource.from_dataset(tf.data.Dataset.from_tensor_slices((_IMAGES, names)))
    assert labelled.identity(with_classes=True) == MemorySource(_IMAGES, names).identity(with_classes=True)
    alone = MemorySource.from_dataset(tf.data.Dataset.from_tensor_slices(_IMAGES))
    np.testing.assert_array_equal(_pixels(alone), _IMAGES)


def test_images_of_several_sizes() -> None:
    images = [np.zeros([4, 5, 3], np.uint8), np.full([7, 2, 3], 9, np.uint8)]
    assert [image.shape for image in _pixels(MemorySource(images))] == [(4, 5, 3), (7, 2, 3)]


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (_IMAGES.astype(np.float32), None, r"image 0 of the data is float32 \[6, 9, 3\]; give uint8"),
        (_IMAGES[..., 0], None, r"image 0 of the data is uint8 \[6, 9\]"),
        (_IMAGES[:0], None, "no image"),
        (_IMAGES, [1, 2], r"the labels are of shape \[2\] for 5 images"),
    ],
)
def test_bad_images_and_labels_are_named(images: np.ndarray, labels: list[int] | None, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        MemorySource(images, labels)


def test_a_batch_is_no_image() -> None:
    with pytest.raises(InputError, match="one image in each element"):
        MemorySource.from_dataset(tf.data.Dataset.from_tensor_slices(_IMAGES).batch(2))
