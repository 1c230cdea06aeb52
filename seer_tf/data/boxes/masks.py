"""The box around a mask of COCO: polygons, or runs of pixels (RLE), compressed or not.

Runs go down the columns of the mask, one column after another, and alternate between outside and inside of the object.
The compressed text holds them as pycocotools' `maskApi.c` does.
"""

import itertools
from collections.abc import Sequence
from typing import Any

from seer_tf.data.boxes.annotated import Corners, four_numbers


def around(segmentation: Any, size_px: tuple[int, int] | None) -> Corners | None:
    """Returns the corners around a mask; None if it is no mask, or empty, or the mask of another image.

    Args:
        segmentation: Lists of x, y, x, y … for each polygon, or an object with `size` and `counts`.
        size_px: Width and height of the image; None if unknown.
    """
    try:
        if not isinstance(segmentation, dict):
            return _around_polygons(segmentation)
        height, width = (int(side) for side in segmentation["size"])
        if size_px not in (None, (width, height)):
            return None
        counts = segmentation["counts"]
        return _around_runs(
            _unpacked(counts) if isinstance(counts, str) else [int(run) for run in counts], height, width
        )
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):
        return None


def _around_polygons(polygons: Any) -> Corners | None:
    numbers = [[float(value) for value in polygon] for polygon in polygons]
    across = [value for polygon in numbers for value in polygon[0::2]]
    down = [value for polygon in numbers for value in polygon[1::2]]
    return four_numbers((min(across), min(down), max(across), max(down)))


def _around_runs(runs: Sequence[int], height: int, width: int) -> Corners | None:
    ends = list(itertools.accumulate(runs))
    if min(runs) < 0 or ends[-1] != height * width:
        return None
    inside = [(end - run, end - 1) for run, end in zip(runs[1::2], ends[1::2], strict=True) if run]
    lefts, rights = [first // height for first, _ in inside], [last // height for _, last in inside]
    # A run that goes on in the next column touches the lower and the upper edge.
    is_within = [left == right for left, right in zip(lefts, rights, strict=True)]
    tops = [first % height if within else 0 for (first, _), within in zip(inside, is_within, strict=True)]
    bottoms = [last % height if within else height - 1 for (_, last), within in zip(inside, is_within, strict=True)]
    return min(lefts), min(tops), max(rights) + 1, max(bottoms) + 1


def _unpacked(text: str) -> list[int]:
    """Returns the runs in a compressed text; from the third on, each is the difference to the last but one.

    A character holds five bits of a number, the lowest first, and says in a sixth whether more follow. The highest bit
    of a number is its sign.
    """
    runs: list[int] = []
    value, shift = 0, 0
    for code in (ord(character) - 48 for character in text):
        value |= (code & 0x1F) << shift
        shift += 5
        if not code & 0x20:
            signed = value - (1 << shift) if code & 0x10 else value
            runs.append(signed + runs[-2] if len(runs) > 2 else signed)
            value, shift = 0, 0
    return runs
