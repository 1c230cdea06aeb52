"""COCO's annotations: lists of images, categories and boxes that name each other by ids."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from seer_tf.data.boxes import annotated, masks
from seer_tf.data.boxes.annotated import AnnotatedBox, AnnotatedImage, Corners, Remarks, four_numbers
from seer_tf.data.sources import suffixes
from seer_tf.errors import InputError, shorten


def annotation_file(directory: Path, split: str) -> Path:
    """Returns the path of the annotations of a split."""
    return directory / "annotations" / f"instances_{split}.json"


def read_coco(directory: Path, split: str, remarks: Remarks) -> list[AnnotatedImage]:
    """Reads the annotations of a split. Boxes that cannot be used are left out and added to `remarks`.

    Raises:
        InputError: The file cannot be read, lacks something, or gives two images or categories one id.
    """
    file = annotation_file(directory, split)
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} is not in COCO's format ({type(error).__name__}: {error})") from None
    names = _by_id(file, content, "categories", "name")
    files = _by_id(file, content, "images", "file_name")
    _check_unique_files(file, files)
    stated = {key: str(image["file_name"]) for key, image in files.items()}
    are_unique = len(set(map(annotated.file_alone, stated.values()))) == len(stated)
    images = {
        key: AnnotatedImage(
            _image_file(directory, split, stated[key], are_unique), _size_px(image), [], f"image {image['id']}, "
        )
        for key, image in files.items()
    }
    for annotation in _objects(file, content, "annotations"):
        _add_box(annotation, images, names, remarks)
    return list(images.values())


def _objects(file: Path, content: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Yields the objects of a list in the annotations."""
    found = content.get(kind) if isinstance(content, dict) else None
    if not isinstance(found, list):
        raise InputError(f"{file} is not in COCO's format (it has no list `{kind}`)")
    for number, one in enumerate(found):
        if not isinstance(one, dict):
            raise InputError(f"{file} is not in COCO's format ({kind}[{number}] is no object)")
        yield one


def _by_id(file: Path, content: Any, kind: str, name: str) -> dict[str, dict[str, Any]]:
    """Returns the objects of a list by their ids; each has a name."""
    found: dict[str, dict[str, Any]] = {}
    for number, one in enumerate(_objects(file, content, kind)):
        key = _key(one.get("id"))
        if key is None or one.get(name) is None:
            lacking = "id" if key is None else name
            raise InputError(f"{file} is not in COCO's format ({kind}[{number}] has no `{lacking}`)")
        if key in found and found[key][name] != one[name]:
            raise InputError(
                f"{file}: {kind} have the id {key} twice, {found[key][name]} and {one[name]}, so nobody knows whose "
                "boxes are whose; give each an id of its own"
            )
        found[key] = one
    if not found:
        raise InputError(f"{file} is not in COCO's format (the list `{kind}` is empty)")
    return found


def _check_unique_files(file: Path, images: Mapping[str, dict[str, Any]]) -> None:
    ids: dict[str, str] = {}
    for key, image in images.items():
        other = ids.setdefault(str(image["file_name"]), key)
        if other != key:
            raise InputError(f"{file}: {image['file_name']} is image {other} and image {key}; list each file once")


def _key(value: Any) -> str | None:
    """Returns an id as text, so that 7, 7.0 and "7" are one; None for what is no id."""
    if isinstance(value, str):
        return value.strip().lstrip("0") or "0" if value.strip().isdecimal() else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)


def _image_file(directory: Path, split: str, name: str, are_unique: bool) -> Path:
    """Returns the path of an image: in the directory of the split, or wherever else people keep it.

    Args:
        directory: Directory of the set.
        split: Name of the split.
        name: Path that the annotations state, perhaps one of another machine.
        are_unique: Whether each file has a name of its own without its folders, which then count only if they exist.
    """
    places = [directory / split, directory, directory / "images", directory / "images" / split]
    candidates = [
        place / suffixes.completed(str(place), one)
        for one in (name, *([annotated.file_alone(name)] if are_unique else []))
        for place in places
    ]
    return next((file for file in candidates if os.path.isfile(file)), candidates[0])


def _size_px(image: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        width, height = int(image["width"]), int(image["height"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _add_box(
    annotation: Mapping[str, Any],
    images: Mapping[str, AnnotatedImage],
    names: Mapping[str, dict[str, Any]],
    remarks: Remarks,
) -> None:
    """Adds a box to its image, or says in `remarks` why not."""

    def remark(template: str, what: str) -> None:
        remarks.setdefault(template, []).append(f"annotation {annotation.get('id', '?')} {what}")

    image_key, category_key = (_key(annotation.get(key)) for key in ("image_id", "category_id"))
    if image_key not in images or image_key is None:
        remark(annotated.UNKNOWN_IMAGE, f"names image {annotation.get('image_id')!r}")
    elif category_key not in names or category_key is None:
        remark(annotated.UNKNOWN_CATEGORY, f"names category {annotation.get('category_id')!r}")
    else:
        corners = _corners(annotation, images[image_key].size_px, remark)
        if corners is not None:
            place = f"annotation {annotation['id']}, " if "id" in annotation else ""
            name = str(names[category_key]["name"])
            images[image_key].boxes.append(AnnotatedBox(name, corners, bool(annotation.get("iscrowd")), place))


def _corners(
    annotation: Mapping[str, Any], size_px: tuple[int, int] | None, remark: Callable[[str, str], None]
) -> Corners | None:
    """Returns the corners of a box, taken from the mask where no box is given; None without either."""
    box = four_numbers(annotation.get("bbox"))
    if box is not None:
        left, top, width, height = box
        return left, top, left + width, top + height
    corners = masks.around(annotation.get("segmentation"), size_px)
    given = f"has the box {shorten(repr(annotation.get('bbox')))}"
    remark(annotated.WITHOUT_NUMBERS if corners is None else annotated.FROM_MASK, given)
    return corners
