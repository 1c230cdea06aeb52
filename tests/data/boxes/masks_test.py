"""The box around a mask: pycocotools writes the masks and NumPy finds the boxes."""

from typing import Any

import numpy as np
import pycocotools.mask
import pytest

from seer_tf.data.boxes import masks


def _of_pixels(mask: np.ndarray) -> tuple[int, ...]:
    down, across = np.nonzero(mask)
    return across.min(), down.min(), across.max() + 1, down.max() + 1


def _drawn(seed: int) -> np.ndarray:
    """Returns a mask of one or several rectangles, of single pixels, or of everything."""
    random = np.random.default_rng(seed)
    height, width = random.integers(1, 40, 2)
    mask = np.zeros([height, width], np.uint8)
    for _ in range(random.integers(1, 4)):
        top, left = random.integers(0, height), random.integers(0, width)
        mask[top : random.integers(top, height) + 1, left : random.integers(left, width) + 1] = 1
    return mask if seed % 3 else mask & random.integers(0, 2, mask.shape).astype(np.uint8) | (mask == mask.max())


def _runs(mask: np.ndarray) -> list[int]:
    pixels = mask.T.ravel()
    places = [0, *(np.flatnonzero(np.diff(pixels)) + 1).tolist(), len(pixels)]
    return [*([0] if pixels[0] else []), *np.diff(places).tolist()]


@pytest.mark.parametrize("seed", range(60))
def test_compressed_and_plain_runs_have_the_box_of_their_pixels(seed: int) -> None:
    mask = _drawn(seed)
    packed = pycocotools.mask.encode(np.asfortranarray(mask))
    size = [int(side) for side in packed["size"]]
    for counts in (packed["counts"].decode(), _runs(mask)):
        assert masks.around({"size": size, "counts": counts}, size_px=(size[1], size[0])) == _of_pixels(mask)


def test_long_runs_are_unpacked() -> None:
    """Runs of a million pixels take several characters, and differences of either sign."""
    mask = np.zeros([3000, 2000], np.uint8, order="F")
    mask[100:2900, 7:9] = mask[5, 1990] = 1
    packed = pycocotools.mask.encode(mask)
    assert masks._unpacked(packed["counts"].decode()) == _runs(mask)
    assert masks.around({"size": [3000, 2000], "counts": packed["counts"].decode()}, None) == _of_pixels(mask)


@pytest.mark.parametrize(
    "segmentation",
    [
        None,
        [],
        [[]],
        "text",
        7,
        {"size": [4, 5], "counts": [20]},
        {"size": [4, 5], "counts": []},
        {"size": [4, 5], "counts": [3, 4]},
        {"size": [4, 5], "counts": [3, -4, 21]},
        {"size": [4, 5], "counts": [3, 4, 13, None]},
        {"size": [4], "counts": [3, 4, 13]},
        {"size": [5, 4], "counts": [3, 4, 13]},
        {"size": [0, 0], "counts": [0, 0]},
        {"counts": "abc"},
        {"size": [4, 5], "counts": "\x00\x7f"},
    ],
)
def test_what_is_no_mask_of_the_image_has_no_box(segmentation: Any) -> None:
    assert masks.around(segmentation, size_px=(5, 4)) is None


def test_polygons_have_the_box_of_their_corners() -> None:
    assert masks.around([[1, 2, 5.5, 2, 3, 9], [4, 4, 7, 3, 6, 6]], None) == (1, 2, 7, 9)
