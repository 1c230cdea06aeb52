"""Pascal VOC's annotations: an XML file for each image, and a list of their names for each split."""

import collections
import os
import xml.etree.ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

from seer_tf.data.boxes import annotated
from seer_tf.data.boxes.annotated import AnnotatedBox, AnnotatedImage, Remarks, four_numbers
from seer_tf.errors import InputError

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_IMAGES = "JPEGImages"


def split_file(directory: Path, split: str) -> Path:
    """Returns the path of the names of a split."""
    return directory / "ImageSets" / "Main" / f"{split}.txt"


def read_voc(directory: Path, split: str, remarks: Remarks) -> list[AnnotatedImage]:
    """Reads the annotations of a split. Boxes that cannot be used are left out and added to `remarks`.

    Raises:
        InputError: A file cannot be read, or an object has no name.
    """
    file = split_file(directory, split)
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read as names of images: {error}") from None
    names = list(dict.fromkeys(line.split()[0] for line in lines if line.strip()))
    roots = {name: _parsed(directory / "Annotations" / f"{name}.xml") for name in names}
    files = _image_files(directory / _IMAGES, {name: root.findtext("filename") for name, root in roots.items()})
    return [
        AnnotatedImage(files[name], _size_px(root), _boxes(root, directory / "Annotations" / f"{name}.xml", remarks))
        for name, root in roots.items()
    ]


def _parsed(file: Path) -> xml.etree.ElementTree.Element:
    try:
        return xml.etree.ElementTree.parse(file).getroot()
    except (OSError, ValueError, LookupError, xml.etree.ElementTree.ParseError) as error:
        raise InputError(f"{file} is not in Pascal VOC's format ({type(error).__name__}: {error})") from None


def _image_files(directory: Path, stated: Mapping[str, str | None]) -> dict[str, Path]:
    """Returns the image of each annotation: the file that it states, if no other states it, or one of its own name.

    The folders before a file count for nothing; annotation programs write those of their own machine.

    Args:
        directory: Directory of the images.
        stated: File that each annotation states, by the name of the annotation.
    """
    there = sorted(path.name for path in directory.iterdir()) if directory.is_dir() else []
    by_stem: dict[str, list[str]] = collections.defaultdict(list)
    for file in there:
        by_stem[Path(file).stem].append(file)
    alone = {name: annotated.file_alone((text or "").strip()) for name, text in stated.items()}
    times = collections.Counter(alone.values())
    found = {}
    for name, candidate in alone.items():
        if candidate and times[candidate] == 1 and os.path.isfile(directory / candidate):
            found[name] = directory / candidate
        else:
            found[name] = directory / _only(name, by_stem.get(name, []))
    return found


def _only(name: str, files: Sequence[str]) -> str:
    if len(files) > 1:
        raise InputError(f"{name}.xml could be of {' or '.join(files)}; state one as its `filename`")
    return files[0] if files else f"{name}.jpg"


def _size_px(root: xml.etree.ElementTree.Element) -> tuple[int, int] | None:
    try:
        width, height = (int(float(root.findtext(f"size/{side}") or 0)) for side in ("width", "height"))
    except (ValueError, OverflowError):
        return None
    return (width, height) if width > 0 and height > 0 else None


def _boxes(root: xml.etree.ElementTree.Element, file: Path, remarks: Remarks) -> list[AnnotatedBox]:
    boxes = []
    for number, thing in enumerate(root.findall("object"), start=1):
        name = (thing.findtext("name") or "").strip()
        if not name:
            raise InputError(f"{file} is not in Pascal VOC's format (object {number} has no name)")
        corners = four_numbers(thing.findtext(f"bndbox/{corner}") for corner in _CORNERS)
        if corners is None:
            remarks.setdefault(annotated.WITHOUT_NUMBERS, []).append(f"{file.name}: object {number}, {name}")
        else:
            is_difficult = (thing.findtext("difficult") or "0").strip() == "1"
            boxes.append(AnnotatedBox(name, corners, is_difficult))
    return boxes
