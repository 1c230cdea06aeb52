"""Copy detection: the toolkit's average precision, blocks of images, and copies that the test draws."""

import io
from collections.abc import Sequence

import keras
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from seer_tf.data.images.transform import Transform
from seer_tf.data.sources.base import Source
from seer_tf.data.sources.builtin import render_image
from seer_tf.errors import InputError
from seer_tf.evaluation.features.descriptors import POOLINGS, descriptors, fitted_whitening, image_regions
from seer_tf.evaluation.protocols.copy_detection import (
    block_of,
    copy_detection,
    likely_copies,
    trapezoid_average_precision,
)
from seer_tf.models import RegNetY
from seer_tf.networks.network import Network

_NUM_IMAGES = 10


def test_average_precision_by_hand() -> None:
    """A copy that is not found first counts half of its first precision. scikit-learn would count all of it."""
    assert trapezoid_average_precision([0]) == 1.0
    assert trapezoid_average_precision([1]) == 0.25
    assert trapezoid_average_precision([9]) == 0.05
    # For ranks 0 and 2, the trapezoids have heights 1 and 1, then 1 / 2 and 2 / 3.
    assert trapezoid_average_precision([0, 2]) == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("original/200000.jpg", 2000),
        ("strong/200017.jpg", 2000),
        ("crops/20/200100.jpg", 2001),
        ("queries/strong_215302.jpg", 2153),
        ("database/distractor_200000.jpg", None),
        ("holiday.jpg", None),
    ],
)
def test_names_tell_the_block_of_an_image(name: str, block: int | None) -> None:
    assert block_of(name) == block


def test_a_copy_counts_if_its_original_is_in_the_bank() -> None:
    """The first image is nearest to its original, the second to a distractor, and the third has no original."""
    bank = np.eye(4, dtype=np.float32)
    queries = np.array([[1, 0, 0, 0.1], [0, 0.5, 0.1, 1], [0, 0, 1, 0]], np.float32)
    found = copy_detection(bank, [10, 11, 12, None], queries, [10, 11, None])
    assert found.queries.tolist() == [0, 1] and found.is_first.tolist() == [True, False]
    assert found.average_precisions.tolist() == [1.0, 0.25]
    with pytest.raises(InputError, match="no image is a copy of one in the bank"):
        copy_detection(bank, [None] * 4, queries, [None] * 3)


def test_likely_copies_are_those_above_the_threshold() -> None:
    bank, images = np.eye(2, dtype=np.float32), np.array([[1, 0.1], [1, 1], [0, 1]], np.float32)
    found = likely_copies(bank, ["one", "two"], images, ["a", "b", "c"], threshold=0.9)
    assert [(copy.name, copy.nearest) for copy in found] == [("a", "one"), ("c", "two")]
    assert found[0].similarity == pytest.approx(1 / 1.01**0.5, rel=1e-5)


class _Pictures(Source):
    """Pictures in memory."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self.ids = [f"{number}" for number in range(len(pictures))]
        self._encoded = [_encoded(picture, "PNG") for picture in pictures]

    def read(self, index: int) -> bytes:
        return self._encoded[index]


def _encoded(picture: Image.Image, image_format: str) -> bytes:
    encoded = io.BytesIO()
    picture.save(encoded, image_format, quality=10)
    return encoded.getvalue()


def _originals() -> list[Image.Image]:
    encoded = (render_image("train", number)[0] for number in range(_NUM_IMAGES))
    return [Image.open(io.BytesIO(each)).convert("RGB").resize((64, 56)) for each in encoded]


def _cropped(picture: Image.Image) -> Image.Image:
    return picture.crop((5, 3, 60, 53))


def _written_on(picture: Image.Image) -> Image.Image:
    copy = picture.copy()
    ImageDraw.Draw(copy).text((20, 20), "copy", fill=(255, 255, 255))
    return copy


def _recoloured(picture: Image.Image) -> Image.Image:
    return ImageEnhance.Color(ImageEnhance.Brightness(picture).enhance(1.2)).enhance(0.7)


def _compressed(picture: Image.Image) -> Image.Image:
    return Image.open(io.BytesIO(_encoded(picture, "JPEG")))


@pytest.fixture(scope="module")
def network() -> Network:
    """A network with random weights. Three stages separate pictures well enough."""
    keras.utils.set_random_seed(0)
    return Network(RegNetY("90MF"), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), Transform(64))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_drawn_copies_find_their_originals(network: Network, pooling: str) -> None:
    """The copies are crops, a strong JPEG compression, text and other colours of built-in images.

    Descriptors are not whitened, or whitened by the originals.
    """
    originals = _originals()
    changes = (_cropped, _written_on, _recoloured, _compressed)
    pictures = [*originals, *(change(picture) for change in changes for picture in originals)]
    regions = image_regions(network, _Pictures(pictures), stage="res3", pooling=pooling, size_px=64)
    own, theirs = regions[:_NUM_IMAGES], regions[_NUM_IMAGES:]
    blocks = list(range(_NUM_IMAGES))
    for whitening, least in ((None, 0.6), (fitted_whitening(own, 8), 0.4)):  # a bank in random order has 0.2
        bank = descriptors(own, whitening)
        found = copy_detection(bank, blocks, descriptors(theirs, whitening), blocks * len(changes))
        assert found.average_precisions.mean() > least, found.average_precisions
        assert copy_detection(bank, blocks, bank, blocks).is_first.all()
