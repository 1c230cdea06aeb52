"""`csv:FILE`: images with one label or several.

The first line names the columns. The first column holds the path of an image, relative to the directory of the table.
All other columns hold labels. A cell may be empty, or hold several labels separated by `;`.
"""

import csv
import functools
import io
import os

import numpy as np

from seer_tf.data.sources import image_files
from seer_tf.data.sources.base import single_labels
from seer_tf.errors import InputError
from seer_tf.files import storage

_BETWEEN_LABELS = ";"


class CsvSource(image_files.FilesSource):
    """Image files with the classes that a table assigns to them."""

    def __init__(
        self, directory: str, classes: dict[str, tuple[str, ...]], rejected: list[tuple[str, str]], names: list[str]
    ) -> None:
        """Takes the files that are images.

        Args:
            directory: Directory that relative paths start from.
            classes: Names of the classes of each file in the table.
            rejected: Name and reason for each file that was left out.
            names: Files that are images.
        """
        super().__init__(directory, names, rejected)
        self.class_names = tuple(sorted({label for name in names for label in classes[name]}))
        numbers = {label: number for number, label in enumerate(self.class_names)}
        self._classes = [tuple(sorted(numbers[label] for label in classes[name])) for name in names]

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None if some image has no class or several."""
        return single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._classes[index]


def open_csv(path: str) -> CsvSource:
    """Opens the images of a table. Files that cannot be used are left out; the log counts and names them.

    Raises:
        InputError: The table cannot be read, has no labels, names a file twice, or contains no image.
    """
    classes = _read_table(path)
    directory = os.path.dirname(path)
    usable, rejected = image_files.find_usable_files(f"csv:{path}", directory, list(classes))
    return CsvSource(directory, classes, rejected, usable)


def _read_table(path: str) -> dict[str, tuple[str, ...]]:
    """Returns the names of the classes of each file."""
    try:
        text = storage.read(path).decode("utf-8-sig")
        if "\0" in text:
            raise csv.Error("it contains a NUL byte")
        rows = list(csv.reader(io.StringIO(text)))
    except OSError as error:
        raise InputError(f"csv:{path}: the table cannot be read ({error.strerror}); give a CSV file.") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"csv:{path}: this is not CSV in UTF-8 ({error}); save it as such a file.") from None
    if len(rows) < 2 or len(rows[0]) < 2:
        raise InputError(f"csv:{path}: the table needs a line of column names, then a path and a label on each line.")
    first = rows[0][0]
    if first and storage.is_file(os.path.join(os.path.dirname(path), first)):
        raise InputError(f"csv:{path}: the first line names an image; put the names of the columns above it.")
    classes: dict[str, tuple[str, ...]] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(row):  # Excel leaves empty rows at the end.
            continue
        if len(row) != len(rows[0]):
            raise InputError(f"csv:{path}: line {number} has {len(row)} cells instead of {len(rows[0])}; correct it.")
        if row[0] in classes:
            raise InputError(f"csv:{path}: line {number} names {row[0]} again; put all its labels into one line.")
        labels = (label.strip() for cell in row[1:] for label in cell.split(_BETWEEN_LABELS))
        classes[row[0]] = tuple(dict.fromkeys(label for label in labels if label))
    if not any(classes.values()):
        raise InputError(f"csv:{path}: the table has no labels; give folder: or list: instead.")
    return classes
