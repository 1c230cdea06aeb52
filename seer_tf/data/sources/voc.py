"""`voc:DIR@SPLIT`: images of Pascal VOC with the classes that its lists give them, such as `voc:VOC2007@trainval`.

`DIR/ImageSets/Main/CLASS_SPLIT.txt` has a line for each image: its name, and 1 where the class is in it, -1 where it is
not, or 0 where all objects of the class are difficult. A class of the last kind is neither present nor absent, so the
image does not count for it, as VOC's rules and VISSL's evaluation have it. Images lie in `DIR/JPEGImages`.
"""

import functools
import os

import numpy as np

from seer_tf.data.sources import image_files
from seer_tf.data.sources.base import single_labels
from seer_tf.errors import InputError
from seer_tf.files import storage

_PRESENT, _ABSENT, _DIFFICULT = "1", "-1", "0"

Marks = dict[str, str]
"""Mark of each image in the list of a class, by the name of the image."""


class VocSource(image_files.FilesSource):
    """The images of a split, in the order of their names."""

    def __init__(
        self, directory: str, names: list[str], marks: dict[str, Marks], rejected: list[tuple[str, str]]
    ) -> None:
        """Takes the images that can be read.

        Args:
            directory: DIR.
            names: Paths of the images, relative to `directory`.
            marks: Marks of the images by class.
            rejected: Name and reason for each file that was left out.
        """
        super().__init__(directory, names, rejected)
        self.class_names = tuple(sorted(marks))
        self._marks = [marks[name] for name in self.class_names]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None if some image has no class or several."""
        return single_labels(map(self.classes_of, range(self.num_images)))

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._marked(index, _PRESENT)

    def absent_of(self, index: int) -> tuple[int, ...]:
        """Returns the classes that image `index` lacks, without those whose objects in it are difficult."""
        return self._marked(index, _ABSENT)

    def _marked(self, index: int, mark: str) -> tuple[int, ...]:
        name = _stem(self.ids[index])
        return tuple(number for number, marks in enumerate(self._marks) if marks.get(name) == mark)


def open_voc(directory_at_split: str) -> VocSource:
    """Opens the images of a split. Files that cannot be used are left out; the log counts and names them.

    Raises:
        InputError: The directory has no such split, a list cannot be read, or no image can be used.
    """
    directory, files = find_lists(directory_at_split)
    marks = {name: _read_marks(file) for name, file in files.items()}
    images = sorted(set().union(*marks.values()))
    paths = [os.path.join("JPEGImages", f"{name}.jpg") for name in images]
    usable, rejected = image_files.find_usable_files(f"voc:{directory_at_split}", directory, paths)
    return VocSource(directory, usable, marks, rejected)


def directory_of(directory_at_split: str) -> str:
    """Returns the directory without the split behind it."""
    return directory_at_split.rpartition("@")[0] or directory_at_split


def find_lists(directory_at_split: str) -> tuple[str, dict[str, str]]:
    """Returns the directory, and the path of the list of each class.

    Raises:
        InputError: No split is named, or the directory has no lists of it.
    """
    directory, at, split = directory_at_split.rpartition("@")
    if not (at and directory and split):
        raise InputError(f"voc:{directory_at_split}: the split is missing; write voc:DIR@SPLIT, e.g. voc:VOC2007@test.")
    lists, ending = os.path.join(directory, "ImageSets", "Main"), f"_{split}.txt"
    try:
        names = [name for name in storage.names(lists) if name.endswith(ending)]
    except OSError as error:
        raise InputError(
            f"voc:{directory}: {lists} cannot be read ({error.strerror}); give a directory of Pascal VOC."
        ) from None
    if not names:
        raise InputError(
            f"voc:{directory}: {lists} has no lists of a split {split!r}, such as dog{ending}; name another split."
        )
    return directory, {name.removesuffix(ending): os.path.join(lists, name) for name in names}


def _read_marks(file: str) -> Marks:
    try:
        rows = [line.split() for line in storage.read(file).decode().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read ({error}); get it again from Pascal VOC.") from None
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or row[1] not in (_PRESENT, _ABSENT, _DIFFICULT):
            raise InputError(f"{file}: line {number} is not a name and 1, -1 or 0; get it again from Pascal VOC.")
    return dict(rows)


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]
