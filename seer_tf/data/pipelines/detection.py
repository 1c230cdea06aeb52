"""Images with boxes around objects, from a directory in the layout of COCO or of Pascal VOC.

COCO: `DIR/annotations/instances_SPLIT.json` and images in `DIR/SPLIT/`; a box is x, y, width, height.

Pascal VOC: `DIR/ImageSets/Main/SPLIT.txt`, `DIR/Annotations/NAME.xml` and `DIR/JPEGImages/NAME.jpg`; a box is given by
its corners. The coordinates are read as distances from the corner of the image, so annotations that count pixels from
one are half a pixel off.

Crowds of COCO and difficult objects of Pascal VOC are kept apart: a detector is not fitted to them, and detections of
them are neither right nor wrong.
"""

import collections
import dataclasses
import json
import xml.etree.ElementTree
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seer_tf import parallel
from seer_tf.data.images import decode
from seer_tf.data.images.formats import UnusableImageError, read_header
from seer_tf.data.sources import image_files
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.progress import Progress
from seer_tf.quantities import counted

_ROUNDING_PX = 1.0
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
        degenerate: One text for each box that was left out because it has no area.
    """

    images: tuple[BoxedImage, ...]
    class_names: tuple[str, ...]
    degenerate: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Annotated:
    """An image as its annotation describes it: corners, names of classes, and whether each box is ignored."""

    file: Path
    size_px: tuple[int, int]
    boxes: list[tuple[float, float, float, float]]
    names: list[str]
    ignored: list[bool]


def open_boxes(directory: str | Path, split: str, class_names: Sequence[str] | None = None) -> BoxedImages:
    """Reads the annotations of a split and the header of every image.

    Args:
        directory: Directory in one of the two layouts.
        split: Name of the split, e.g. "train".
        class_names: Classes of the training split, if this is another split; None takes the classes of the boxes.

    Raises:
        InputError: The directory has neither layout or lacks the split, an annotation cannot be read, an image is
            missing or has another size than its annotation says, or a box reaches beyond its image or has an unknown
            class.
    """
    directory = Path(directory)
    check_split(directory, split)
    annotated = _read_coco(directory, split) if _coco_file(directory, split).is_file() else _read_voc(directory, split)
    if not annotated:
        raise InputError(f"{directory}: the split {split!r} has no images")
    found = {
        name for image in annotated for name, ignored in zip(image.names, image.ignored, strict=True) if not ignored
    }
    if not found:
        raise InputError(f"{directory}: the split {split!r} has no boxes")
    names = tuple(sorted(found) if class_names is None else class_names)
    unknown = sorted(found - set(names))
    if unknown:
        raise InputError(
            f"{directory}: the split {split!r} has boxes of classes that the training split lacks: "
            f"{', '.join(unknown[:_NUM_NAMED])}; give splits with the same ones"
        )
    degenerate: list[str] = []
    annotated.sort(key=lambda image: image.file)
    images = []
    with Progress(len(annotated), "image", f"looking into {directory}") as progress:
        for image, upright in zip(annotated, parallel.in_order(_measure, annotated, parallel.num_cores()), strict=True):
            images.append(_checked(image, upright, names, degenerate))
            progress.advance()
    return BoxedImages(tuple(images), names, tuple(degenerate))


def check_split(directory: str | Path, split: str) -> None:
    """Looks whether a directory has a split, without reading it.

    Raises:
        InputError: there is no such directory, it has neither layout, or there is no such split.
    """
    directory = Path(directory)
    if not directory.is_dir():
        what = "is a file" if directory.exists() else "is not there"
        raise InputError(f"{directory} {what}; give a directory of images with boxes, as COCO or Pascal VOC has it")
    if not (_coco_file(directory, split).is_file() or _voc_file(directory, split).is_file()):
        raise InputError(
            f"{directory} has no split {split!r}: neither annotations/instances_{split}.json, as COCO has it, nor "
            f"ImageSets/Main/{split}.txt, as Pascal VOC has it"
        )


def _coco_file(directory: Path, split: str) -> Path:
    return directory / "annotations" / f"instances_{split}.json"


def _voc_file(directory: Path, split: str) -> Path:
    return directory / "ImageSets" / "Main" / f"{split}.txt"


def _read_coco(directory: Path, split: str) -> list[_Annotated]:
    file = _coco_file(directory, split)
    try:
        content = json.loads(file.read_text("utf-8"))
        names = {category["id"]: str(category["name"]) for category in content["categories"]}
        boxes: dict[Any, list[dict[str, Any]]] = collections.defaultdict(list)
        for annotation in content["annotations"]:
            boxes[annotation["image_id"]].append(annotation)
        return [
            _Annotated(
                directory / split / image["file_name"],
                (int(image["width"]), int(image["height"])),
                [_corners(*map(float, annotation["bbox"])) for annotation in boxes[image["id"]]],
                [names[annotation["category_id"]] for annotation in boxes[image["id"]]],
                [bool(annotation.get("iscrowd")) for annotation in boxes[image["id"]]],
            )
            for image in content["images"]
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file} is not in COCO's format ({type(error).__name__}: {error})") from None


def _corners(left: float, top: float, width: float, height: float) -> tuple[float, float, float, float]:
    return left, top, left + width, top + height


def _read_voc(directory: Path, split: str) -> list[_Annotated]:
    file = _voc_file(directory, split)
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as names of images: {error}") from None
    return [_read_voc_image(directory, line.split()[0]) for line in lines if line.strip()]


def _read_voc_image(directory: Path, name: str) -> _Annotated:
    file = directory / "Annotations" / f"{name}.xml"
    try:
        root = xml.etree.ElementTree.parse(file).getroot()
        sides = tuple(int(_text(root, f"size/{side}")) for side in ("width", "height"))
        things = root.findall("object")
        corners = [
            tuple(float(_text(thing, f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax"))
            for thing in things
        ]
        names = [_text(thing, "name") for thing in things]
        difficult = [thing.findtext("difficult", "0").strip() == "1" for thing in things]
    except (OSError, ValueError, xml.etree.ElementTree.ParseError) as error:
        raise InputError(f"{file} is not in Pascal VOC's format ({type(error).__name__}: {error})") from None
    image_file = directory / "JPEGImages" / f"{name}.jpg"
    return _Annotated(image_file, sides, corners, names, difficult)  # type: ignore[arg-type]


def _text(element: xml.etree.ElementTree.Element, path: str) -> str:
    found = element.findtext(path)
    if found is None or not found.strip():
        raise ValueError(f"no {path}")
    return found.strip()


def _checked(
    image: _Annotated, upright: tuple[int, int, int], class_names: tuple[str, ...], degenerate: list[str]
) -> BoxedImage:
    """Compares boxes with their image, as measured by `_measure`; boxes without area are added to `degenerate`."""
    width, height, orientation = upright
    kept: dict[bool, list[np.ndarray]] = {False: [], True: []}  # key: ignored
    labels: dict[bool, list[int]] = {False: [], True: []}
    for corners, name, ignored in zip(image.boxes, image.names, image.ignored, strict=True):
        if name not in class_names:
            # The box is an ignored one, since other unknown classes were refused before. It cannot be detected.
            continue
        inside = np.clip(corners, 0, [width, height, width, height])
        is_near = np.abs(inside - corners).max() <= _ROUNDING_PX  # False for NaN
        left, top, right, bottom = corners
        box = f"{image.file.name}: {name} from {left:g}, {top:g} to {right:g}, {bottom:g}"
        if _has_no_area(corners) or (is_near and _has_no_area(inside)):
            degenerate.append(box)
        elif not is_near:
            raise InputError(
                f"{box}: this box reaches beyond the image, which is {width} x {height}; correct the annotation"
            )
        else:
            kept[ignored].append(inside)
            labels[ignored].append(class_names.index(name))
    boxes = {ignored: np.array(some, np.float32).reshape(-1, 4) for ignored, some in kept.items()}
    numbers = {ignored: np.array(some, np.int64) for ignored, some in labels.items()}
    return BoxedImage(image.file, width, height, orientation, boxes[False], numbers[False], boxes[True], numbers[True])


def _has_no_area(corners: Sequence[float] | np.ndarray) -> bool:
    return bool(corners[2] <= corners[0] or corners[3] <= corners[1])


def _measure(image: _Annotated) -> tuple[int, int, int]:
    """Returns width and height of the upright image, which must equal those in its annotation, and its orientation."""
    try:
        encoded = image_files.read_beginning(lambda num_bytes: storage.read(image.file, num_bytes=num_bytes))
        header = read_header(encoded)
        if header.format != "JPEG" or b"Exif" in encoded:  # Other formats may have EXIF at the end.
            encoded = image.file.read_bytes()
    except (OSError, UnusableImageError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{image.file} is annotated and cannot be used: {reason}") from None
    orientation = decode.exif_orientation(encoded)
    width, height = (header.width_px, header.height_px) if orientation < 5 else (header.height_px, header.width_px)
    if (width, height) != image.size_px:
        raise InputError(
            f"{image.file} is {width} x {height} and its annotation says {image.size_px[0]} x {image.size_px[1]}; give "
            "the images that were annotated"
        )
    return width, height, orientation


def describe_degenerate(images: Iterable[BoxedImages]) -> str | None:
    """Returns one sentence about all boxes that were left out, or None if there are none."""
    texts = [text for part in images for text in part.degenerate]
    if not texts:
        return None
    more = f" and {len(texts) - _NUM_NAMED} more" if len(texts) > _NUM_NAMED else ""
    return f"left out, {counted(len(texts), 'box')} without area: {'; '.join(texts[:_NUM_NAMED])}{more}"
