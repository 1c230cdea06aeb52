"""Near-duplicates: which images count as copies, among photos, objects on a plain background, and many images."""

import io
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageEnhance

from seer_tf.data.shards import near_duplicates
from seer_tf.data.sources.registry import open_source
from tests.real_images import REAL_IMAGES, needs_real_images

_NUM = 600


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    encoded = io.BytesIO()
    image.save(encoded, "JPEG", quality=quality)
    return Image.open(encoded)


def _scaled(image: Image.Image, scale: float) -> Image.Image:
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _packshot(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns a small photo in the middle of a white image."""
    image, side = Image.new("RGB", (160, 160), "white"), int(rng.integers(50, 80))
    image.paste(photo.resize((side, side)), ((160 - side) // 2, (160 - side) // 2))
    return image


def _specks(photo: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Returns one to three small photos on black, as a microscope shows cells."""
    image = Image.new("RGB", (160, 160), "black")
    for _ in range(rng.integers(1, 4)):
        side = int(rng.integers(20, 40))
        image.paste(photo.resize((side, side)), (int(rng.integers(0, 120)), int(rng.integers(0, 120))))
    return image


@pytest.fixture(scope="module")
def photos():
    source = open_source(f"tar:{REAL_IMAGES / 'cifar10.tar'}")
    numbers = np.random.default_rng(0).permutation(source.num_images)[:_NUM]
    return [Image.open(io.BytesIO(source.read(int(number)))).convert("RGB") for number in numbers]


def _looks(images: list[Image.Image]) -> np.ndarray:
    return np.stack([near_duplicates.make_thumbnail(tf.constant(np.asarray(image))) for image in images])


def _num_dropped(looks: np.ndarray) -> int:
    return sum(len(group) - 1 for group in near_duplicates.find_groups(looks))


def test_a_thumbnail_is_the_image_made_small_and_flat_images_match_nothing():
    ramp = np.arange(0, 252, 4).astype(np.uint8)[None, :, None].repeat(40, axis=0).repeat(3, axis=2)
    look = near_duplicates.make_thumbnail(tf.constant(ramp))
    assert look.shape == near_duplicates.THUMBNAIL_SHAPE and look.dtype == np.uint8
    assert np.diff(look.astype(int), axis=1).min() > 20 and not np.diff(look.astype(int), axis=0).any()
    # An image that rises everywhere has the hash of a flat image.
    assert near_duplicates.find_groups(np.stack([look, look])) == []
    falling = np.stack([look[:, ::-1]] * 3)
    assert [group.tolist() for group in near_duplicates.find_groups(falling)] == [[0, 1, 2]]
    assert near_duplicates.find_groups(np.full((5, *near_duplicates.THUMBNAIL_SHAPE), 200, np.uint8)) == []
    assert near_duplicates.find_groups(np.empty((0, *near_duplicates.THUMBNAIL_SHAPE), np.uint8)) == []


@needs_real_images
@pytest.mark.parametrize("made", [_packshot, _specks])
def test_different_objects_on_a_plain_background_are_kept_and_their_copies_are_found(photos, made):
    rng = np.random.default_rng(0)
    images = [made(photo, rng) for photo in photos]
    looks = _looks(images)
    assert _num_dropped(looks) <= 0.005 * _NUM
    for changed in (lambda image: _jpeg(image, 40), lambda image: _scaled(image, 0.5)):
        copies = _looks([changed(image) for image in images])
        found = {tuple(group) for group in near_duplicates.find_groups(np.concatenate([looks, copies]))}
        assert sum((number, number + _NUM) in found for number in range(_NUM)) > 0.9 * _NUM


@needs_real_images
@pytest.mark.parametrize(
    ("changed", "least"),
    [
        (lambda image: _jpeg(image, 90), 0.95),
        (lambda image: _jpeg(image, 50), 0.68),
        (lambda image: _scaled(image, 2), 0.97),
        (lambda image: _scaled(image, 0.5), 0.88),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.9), 0.9),
    ],
)
def test_only_copies_of_photos_are_found(photos, changed, least):
    looks = np.concatenate([_looks(photos), _looks([changed(photo) for photo in photos])])
    groups = near_duplicates.find_groups(looks)
    assert all(len(group) == 2 and group[0] + _NUM == group[1] for group in groups)
    assert len(groups) > least * _NUM


def test_all_images_of_a_group_are_like_its_first_image():
    """The images fade from one picture to another. Neighbours are alike, but the two ends are not."""
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 256, (2, *near_duplicates.THUMBNAIL_SHAPE)).astype(float)
    fade = np.stack([ends[0] + (ends[1] - ends[0]) * share for share in np.linspace(0, 1, 101)]).astype(np.uint8)
    groups = near_duplicates.find_groups(fade)
    assert len(groups) >= 2 and sum(map(len, groups)) > 60
    for first, *others in groups:
        assert first < min(others)
        assert all(np.corrcoef(fade[first].ravel(), fade[other].ravel())[0, 1] > 0.9 for other in others)


def test_copies_among_many_images_are_found_in_bounded_time():
    """The objects are in the right half before white, so one band of the hash is equal for all.

    Every tenth has three copies.
    """
    num = 20_000
    looks = np.full((num, *near_duplicates.THUMBNAIL_SHAPE), 255, np.uint8)
    looks[:, :, 6:] = np.random.default_rng(0).integers(0, 230, (num, 8, 3, 3))
    copies = np.repeat(looks[::10], 3, axis=0)
    started = time.process_time()
    groups = near_duplicates.find_groups(np.concatenate([looks, copies]))
    assert time.process_time() - started < 40
    assert [len(group) for group in groups] == [4] * (num // 10)


def test_many_equal_images_are_one_group():
    look = np.random.default_rng(0).integers(0, 256, near_duplicates.THUMBNAIL_SHAPE, np.uint8)
    assert [len(group) for group in near_duplicates.find_groups(np.stack([look] * 30_000))] == [30_000]
