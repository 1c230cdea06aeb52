"""A part of a source: its images, its lazy list of names, and its errors."""

import numpy as np
import pytest

from seer_tf import config as configs
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.part import Part, training_images
from seer_tf.errors import InputError
from seer_tf.pretraining.recipes import recipe


class _Numbers(Source):
    """Ten images in two classes."""

    class_names = ("even", "odd")
    ids = [f"image {number}" for number in range(10)]

    @property
    def labels(self) -> np.ndarray:
        return np.arange(10) % 2

    def absent_of(self, index: int) -> tuple[int, ...]:
        return (1 - index % 2,)

    def read(self, index: int) -> bytes:
        return bytes([index])


def test_the_images_of_a_part_are_evenly_spaced() -> None:
    part, chosen = Part(_Numbers(), 4), [0, 2, 5, 7]
    assert part.num_images == len(part.ids) == 4
    assert list(part.ids) == part.ids[:] == [f"image {number}" for number in chosen]
    assert part.ids[-1] == "image 7" and part.ids[1:3] == ["image 2", "image 5"]
    assert [part.read(index) for index in range(4)] == [bytes([number]) for number in chosen]
    assert part.labels is not None and part.labels.tolist() == [0, 0, 1, 1]
    assert [part.absent_of(index) for index in range(4)] == [(1,), (1,), (0,), (0,)]


def test_parts_of_two_sizes_are_two_sets_of_images() -> None:
    whole = _Numbers()
    assert len({Part(whole, size).fingerprint() for size in (3, 4)} | {whole.fingerprint()}) == 3
    assert Part(whole, 4).identity(with_classes=False) == Part(whole, 4).identity(with_classes=False)


def test_a_part_larger_than_its_source_is_refused() -> None:
    with pytest.raises(InputError, match="data.num_images=11 is more than the data has, 10 images"):
        Part(_Numbers(), 11)


def test_a_run_trains_on_the_part_that_its_config_names() -> None:
    assignments = ["data.source=builtin", "data.num_images=50"]
    source = training_images(configs.override(recipe("debug_tiny"), assignments).data)
    whole = training_images(configs.override(recipe("debug_tiny"), assignments[:1]).data)
    assert source.num_images == 50 < whole.num_images
    assert source.read(1) == whole.read(whole.num_images // 50)
