"""Images with boxes around objects, from a directory in the layout of COCO or of Pascal VOC.

COCO: `DIR/annotations/instances_SPLIT.json` and images in `DIR/SPLIT/`; a box is x, y, width, height.

Pascal VOC: `DIR/ImageSets/Main/SPLIT.txt`, `DIR/Annotations/NAME.xml` and the image in `DIR/JPEGImages/` that it names;
a box is given by its corners. The coordinates are read as distances from the corner of the image, so annotations that
count pixels from one are half a pixel off. If no number of a split is larger than 1, its boxes are fractions of the
image in either layout.

Crowds of COCO and difficult objects of Pascal VOC are kept apart: a detector is not fitted to them, and detections of
them are neither right nor wrong.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from absl import logging

from seer_tf import parallel
from seer_tf.data.boxes import annotated, coco, voc
from seer_tf.data.boxes.annotated import AnnotatedBox, AnnotatedImage, Remarks
from seer_tf.data.images import acceptance, decode
from seer_tf.data.images.formats import UnusableImageError
from seer_tf.data.sources import image_files
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.progress import Progress
from seer_tf.quantities import counted

_ROUNDING_PX = 1.0
_LARGEST_FRACTION = 1.001
_NUM_NAMED = 5


@dataclasses.dataclass(frozen=True)
class BoxedImage:
    """An image file and the objects in it.

    Attributes:
        file: Image file.
        width_px: Width of the upright image.
        height_px: Height of the upright image.
        orientation: EXIF orientation of the stored pixels, as from `decode.exif_orientation`.
        boxes: Left, top, right and bottom in pixels, float32 `[n, 4]`; boxes are inside the image and have an area.
        labels: Positions in `BoxedImages.class_names`, int64 `[n]`.
        ignored_boxes: Boxes of crowds and of difficult objects, float32 `[m, 4]`.
        ignored_labels: Labels of the ignored boxes, int64 `[m]`.
    """

    file: Path
    width_px: int
    height_px: int
    orientation: int
    boxes: np.ndarray
    labels: np.ndarray
    ignored_boxes: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0, 4], np.float32))
    ignored_labels: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([0], np.int64))


@dataclasses.dataclass(frozen=True)
class BoxedImages:
    """The images of a split.

    Attributes:
        images: Images in the order of their names.
        class_names: Sorted names of the classes in the training split; a class may have no box in another split.
        remarks: Boxes that were left out or changed, by what was done to them (`boxes/annotated.py`).
    """

    images: tuple[BoxedImage, ...]
    class_names: tuple[str, ...]
    remarks: Mapping[str, Sequence[str]]


def open_boxes(directory: str | Path, split: str, class_names: Sequence[str] | None = None) -> BoxedImages:
    """Reads the annotations of a split, and decodes every image once. An image that is missing or bad is left out.

    Args:
        directory: Directory in one of the two layouts.
        split: Name of the split, e.g. "train".
        class_names: Classes of the training split, if this is another split; None takes the classes of the boxes.

    Raises:
        InputError: The directory has neither layout or lacks the split, an annotation cannot be read, an image has
            another size than its annotation says, none decodes, or a box has an unknown class.
    """
    directory = Path(directory)
    check_split(directory, split)
    remarks: Remarks = {}
    read = coco.read_coco if coco.annotation_file(directory, split).is_file() else voc.read_voc
    images = sorted(read(directory, split, remarks), key=lambda image: image.file)
    if not images:
        raise InputError(f"{directory}: the split {split!r} has no images")
    images, sizes = _usable(directory, images)
    in_fractions = _are_fractions(images, remarks)
    for image, (width, height, _) in zip(images, sizes, strict=True):
        image.boxes[:] = _inside(image, (width, height), in_fractions, remarks)
    names = _class_names(f"{directory}: the split {split!r}", images, class_names, remarks)
    boxed = tuple(_boxed(image, upright, names) for image, upright in zip(images, sizes, strict=True))
    return BoxedImages(boxed, names, remarks)


def _usable(
    directory: Path, images: Sequence[AnnotatedImage]
) -> tuple[list[AnnotatedImage], list[tuple[int, int, int]]]:
    """Returns the images that decode, with width, height and orientation; the log counts and names the others."""
    usable, sizes, bad = [], [], []
    with Progress(len(images), "image", f"looking into {directory}") as progress:
        for image, found in zip(images, parallel.in_order(_measure, images, parallel.num_cores()), strict=True):
            if isinstance(found, str):
                bad.append(f"{image.place}{image.file.name}: {found}")
            else:
                usable.append(image)
                sizes.append(found)
            progress.advance()
    named = "; ".join(bad[:_NUM_NAMED]) + ("; ..." if len(bad) > _NUM_NAMED else "")
    if not usable:
        raise InputError(f"{directory}: none of {counted(len(images), 'image')} can be used ({named})")
    if bad:
        logging.warning("%s: %d of %d images left out (%s)", directory, len(bad), len(images), named)
    return usable, sizes


def _class_names(
    where: str, images: Iterable[AnnotatedImage], class_names: Sequence[str] | None, remarks: Remarks
) -> tuple[str, ...]:
    """Returns the classes: those of the training split if given, else those of the boxes that count."""
    found = {box.name for image in images for box in image.boxes if not box.is_ignored}
    if not found:
        raise InputError("; ".join([f"{where} has no boxes", *annotated.described([remarks])]))
    names = tuple(sorted(found) if class_names is None else class_names)
    unknown = sorted(found - set(names))
    if unknown:
        raise InputError(
            f"{where} has boxes of classes that the training split lacks: {', '.join(unknown[:_NUM_NAMED])}; give "
            "splits with the same ones"
        )
    return names


def check_split(directory: str | Path, split: str) -> None:
    """Checks that a directory has a split, without reading it.

    Raises:
        InputError: The directory does not exist, has neither layout, or lacks the split.
    """
    directory = Path(directory)
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "is not there"
        raise InputError(f"{directory} {what}; give a directory of images with boxes, as COCO or Pascal VOC has it")
    if not (coco.annotation_file(directory, split).is_file() or voc.split_file(directory, split).is_file()):
        raise InputError(
            f"{directory} has no split {split!r}: neither annotations/instances_{split}.json, as COCO has it, nor "
            f"ImageSets/Main/{split}.txt, as Pascal VOC has it"
        )


def _are_fractions(images: Sequence[AnnotatedImage], remarks: Remarks) -> bool:
    """Whether the boxes are fractions of their images: none reaches further than one pixel."""
    boxes = [(image, box) for image in images for box in image.boxes]
    if not boxes or max(abs(corner) for _, box in boxes for corner in box.corners) > _LARGEST_FRACTION:
        return False
    remarks.setdefault(annotated.FRACTIONS, []).extend(box.described(image.file) for image, box in boxes)
    return True


def _inside(
    image: AnnotatedImage, size_px: tuple[int, int], in_fractions: bool, remarks: Remarks
) -> list[AnnotatedBox]:
    """Returns the boxes in pixels, cut at the edge of the image; those without area or outside are left out."""
    limits = np.array([*size_px, *size_px], np.float64)
    kept = []
    for box in image.boxes:
        corners = np.array(box.corners) * (limits if in_fractions else 1.0)
        inside = np.clip(corners, 0, limits)
        is_near = np.abs(inside - corners).max() <= _ROUNDING_PX
        has_area = _has_area(inside)
        if not _has_area(corners) or (is_near and not has_area):
            remarks.setdefault(annotated.WITHOUT_AREA, []).append(box.described(image.file))
        elif not has_area:
            remarks.setdefault(annotated.OUTSIDE, []).append(box.described(image.file))
        else:
            if not in_fractions and corners.max() <= _LARGEST_FRACTION:
                remarks.setdefault(annotated.IN_FIRST_PX, []).append(box.described(image.file))
            if not is_near:
                remarks.setdefault(annotated.CUT, []).append(box.described(image.file))
            kept.append(dataclasses.replace(box, corners=tuple(inside.tolist())))
    return kept


def _has_area(corners: np.ndarray) -> bool:
    return bool(corners[2] > corners[0] and corners[3] > corners[1])


def _boxed(image: AnnotatedImage, upright: tuple[int, int, int], class_names: Sequence[str]) -> BoxedImage:
    """Returns an image with its boxes by number; ignored boxes of unknown classes cannot be detected and go."""
    known = [box for box in image.boxes if box.name in class_names]
    parts = {ignored: [box for box in known if box.is_ignored == ignored] for ignored in (False, True)}
    boxes = {
        ignored: np.array([box.corners for box in part], np.float32).reshape(-1, 4) for ignored, part in parts.items()
    }
    labels = {
        ignored: np.array([class_names.index(box.name) for box in part], np.int64) for ignored, part in parts.items()
    }
    width, height, orientation = upright
    return BoxedImage(image.file, width, height, orientation, boxes[False], labels[False], boxes[True], labels[True])


def _measure(image: AnnotatedImage) -> tuple[int, int, int] | str:
    """Returns width and height of the upright image, which must equal those in its annotation, and its orientation.

    Returns:
        Width, height and orientation; the reason in a few words for an image that cannot be used.

    Raises:
        InputError: The image is of another size.
    """
    try:
        image_files.check_num_bytes(storage.size(image.file))
        encoded = storage.read(image.file)
        shape = acceptance.decoded(encoded).shape
    except OSError as error:
        return f"is annotated and cannot be read: {error.strerror}"
    except UnusableImageError as error:
        return str(error)
    orientation = decode.exif_orientation(encoded)
    width, height = (shape[1], shape[0]) if orientation < 5 else (shape[0], shape[1])
    if image.size_px is not None and (width, height) != image.size_px:
        raise InputError(
            f"{image.file} is {width} x {height} and its annotation says {image.size_px[0]} x {image.size_px[1]}; give "
            "the images that were annotated"
        )
    return width, height, orientation


def describe_remarks(images: Iterable[BoxedImages]) -> list[str]:
    """Returns one sentence for each thing that was done to boxes, without full stop."""
    return annotated.described(part.remarks for part in images)
