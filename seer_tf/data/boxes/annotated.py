"""The content of annotation files, before it is compared with the images."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seer_tf.quantities import counted

Corners = tuple[float, float, float, float]

#: Texts about boxes that were changed or left out, with a place for their number.
Remarks = dict[str, list[str]]
WITHOUT_AREA = "left out, {} without area"
OUTSIDE = "left out, {} outside of the image"
CUT = "cut at the edge, {} that reached beyond the image"
WITHOUT_NUMBERS = "left out, {} without four numbers"
FROM_MASK = "taken from the mask, {} without four numbers"
UNKNOWN_IMAGE = "left out, {} of no image that is listed"
UNKNOWN_CATEGORY = "left out, {} of no category that is listed"
IN_FIRST_PX = "kept, {} in the first pixel of the image, perhaps in fractions of it"
FRACTIONS = "multiplied by the size of the image, {} in fractions of it"

_NUM_NAMED = 5


@dataclasses.dataclass(frozen=True)
class AnnotatedBox:
    """A box around an object.

    Attributes:
        name: Name of the class.
        corners: Left, top, right and bottom, in px or as fractions of the image.
        is_ignored: Whether it is a crowd or a difficult object.
        place: Words that locate the box in the annotations, e.g. `annotation 17, `; may be empty.
    """

    name: str
    corners: Corners
    is_ignored: bool = False
    place: str = ""

    def described(self, file: Path) -> str:
        """Returns where the box is, for messages."""
        left, top, right, bottom = self.corners
        return f"{self.place}{file.name}: {self.name} from {left:g}, {top:g} to {right:g}, {bottom:g}"


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and its boxes.

    Attributes:
        file: Image file.
        size_px: Width and height; None if the annotation does not state them.
        boxes: Boxes around the objects in it.
        place: Words that locate the image in the annotations, e.g. `image 17, `; may be empty.
    """

    file: Path
    size_px: tuple[int, int] | None
    boxes: list[AnnotatedBox]
    place: str = ""


def file_alone(name: str) -> str:
    """Returns the name of a file without its folders, which may be those of Windows."""
    return name.replace("\\", "/").rpartition("/")[2]


def four_numbers(values: Any) -> Corners | None:
    """Returns four finite numbers as floats, or None if `values` are something else."""
    try:
        first, second, third, fourth = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError):
        return None
    found = (first, second, third, fourth)
    return found if all(map(math.isfinite, found)) else None


def described(remarks: Iterable[Mapping[str, Sequence[str]]]) -> list[str]:
    """Returns one sentence for each thing that was done to boxes, without full stop."""
    joined: dict[str, list[str]] = {}
    for part in remarks:
        for template, texts in part.items():
            joined.setdefault(template, []).extend(texts)
    sentences = []
    for template, texts in joined.items():
        more = f" and {len(texts) - _NUM_NAMED} more" if len(texts) > _NUM_NAMED else ""
        sentences.append(f"{template.format(counted(len(texts), 'box'))}: {'; '.join(texts[:_NUM_NAMED])}{more}")
    return sentences
