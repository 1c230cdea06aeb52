"""`csv:FILE`: images with one label or several, from a table of any form that `table.py` reads.

One column holds paths of images, relative to the directory of the table, or URLs; others hold labels. Which ones they
are follows from their names and cells (`_file_column`, `_label_columns`), or is said: `csv:FILE?label_column=breed`.
A cell of a label column may be empty, or hold several labels separated by `;`. Columns of 0 and 1 are one class each.

A column named `absent` holds labels that the image is known to lack. In a table with this column, an image does not
count for labels that it neither has nor lacks, such as difficult objects of Pascal VOC, or most labels of Open Images.
"""

import functools
import math
import os
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from seer_tf.data.sources import image_files, label_cell, suffixes
from seer_tf.data.sources.base import single_labels
from seer_tf.data.sources.label_cell import labels_in
from seer_tf.data.sources.table import Table, read_table
from seer_tf.errors import InputError
from seer_tf.files import storage
from seer_tf.quantities import counted

_ABSENT = "absent"
_OPTIONS = ("file_column", "label_column")
_FILE_NAMES = (
    "file",
    "file_name",
    "filename",
    "path",
    "file_path",
    "filepath",
    "image",
    "image_path",
    "img",
    "image_id",
)
_FLAGS = {"0": False, "0.0": False, "false": False, "1": True, "1.0": True, "true": True}

Classes = dict[str, tuple[str, ...]]
"""Names of classes by file."""


class CsvSource(image_files.FilesSource):
    """Image files with the classes that a table assigns to them."""

    def __init__(
        self,
        directory: str,
        classes: Classes,
        rejected: list[tuple[str, str]],
        names: list[str],
        absent: Classes | None = None,
    ) -> None:
        """Takes the files that are images.

        Args:
            directory: Directory that relative paths start from.
            classes: Names of the classes of each file in the table.
            rejected: Name and reason for each file that was left out.
            names: Files that are images.
            absent: Names of the classes that each file is known to lack; None for all that it does not have.
        """
        super().__init__(directory, names, rejected)
        listed = [classes, *([] if absent is None else [absent])]
        self.class_names = tuple(sorted({label for labels in listed for name in names for label in labels[name]}))
        numbers = {label: number for number, label in enumerate(self.class_names)}
        self._classes, *lacking = [
            [tuple(sorted(numbers[label] for label in labels[name])) for name in names] for labels in listed
        ]
        self._absent = lacking[0] if lacking else None

    @functools.cached_property
    def labels(self) -> np.ndarray | None:
        """Class of each image, int64 `[num_images]`; None if some image has no class or several."""
        return single_labels(self._classes)

    def classes_of(self, index: int) -> tuple[int, ...]:
        """Returns all classes of image `index`: none, one or several."""
        return self._classes[index]

    def absent_of(self, index: int) -> tuple[int, ...] | None:
        """Returns the classes that image `index` is known to lack; None for all that it does not have."""
        return None if self._absent is None else self._absent[index]


def path_of(place: str) -> str:
    """Returns the path of a table without the options behind it."""
    path, mark, options = place.rpartition("?")
    if storage.is_remote(place):  # where `?` may belong to the URL
        return path if options.startswith(_OPTIONS) else place
    return path if mark and not storage.exists(place) else place


def open_csv(place: str, *, to_prepare: bool = False) -> CsvSource:
    """Opens the images of a table. Files that cannot be used are left out; the log counts and names them.

    Args:
        place: Path of the table, with `?file_column=NAME`, `?label_column=NAME[,NAME]` or both joined by `&` behind it
            where the columns are not known by their names and cells.
        to_prepare: As for `image_files.find_usable`.

    Raises:
        InputError: The table cannot be read, lacks labels or a column, names a file twice, or contains no image.
    """
    path = path_of(place)
    table = read_table(path)
    classes = _classes(path, table, _parsed(path, place.removeprefix(path)))
    absent = _absent(path, table, classes)
    directory = os.path.dirname(path)
    usable, rejected = image_files.find_usable_files(f"csv:{path}", directory, list(classes), to_prepare=to_prepare)
    return CsvSource(directory, classes, rejected, usable, absent)


def _parsed(path: str, options: str) -> dict[str, list[str]]:
    """Returns the names of columns by option."""
    found = urllib.parse.parse_qs(options.removeprefix("?"))
    for name in found:
        if name not in _OPTIONS:
            raise InputError.unknown(f"option of csv:{path}", name, _OPTIONS)
    return {name: [column for value in values for column in value.split(",")] for name, values in found.items()}


def _classes(path: str, table: Table, options: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Returns the names of the classes of each file."""
    directory = os.path.dirname(path)
    if any(name and storage.is_file(storage.join(directory, name)) for name in table.columns):
        raise InputError(f"csv:{path}: the first line names an image; put the names of the columns above it.")
    file_column = _file_column(path, table, options.get("file_column", ()))
    label_columns = _label_columns(path, table, file_column, options.get("label_column", ()))
    is_one_hot = len(label_columns) > 1 and _is_one_hot(table, label_columns)
    classes: dict[str, tuple[str, ...]] = {}
    for row, place in zip(table.rows, table.places, strict=True):
        name = _file_name(directory, "" if row[file_column] is None else str(row[file_column]))
        if not name:
            raise InputError(f"csv:{path}: {place}, column {table.columns[file_column]}: no file is named; correct it.")
        if name in classes:
            raise InputError(f"csv:{path}: {place} names {name} again; put all its labels into one line.")
        if is_one_hot:
            labels = [table.columns[number] for number in label_columns if _flag(row[number])]
        else:
            labels = [label for number in label_columns for label in labels_in(row[number])]
        classes[name] = tuple(dict.fromkeys(labels))
    if not any(classes.values()):
        raise InputError(f"csv:{path}: the table has no labels; give folder: or list: instead.")
    _say(path, table, label_columns, is_one_hot, list(classes.values()))
    return classes


def _file_name(directory: str, cell: str) -> str:
    """Returns the name in a cell; if there is no such file, without spaces, with slashes and with a suffix."""
    plain = cell.strip() if storage.is_remote(cell.strip()) else cell.strip().replace("\\", "/")
    is_plain = plain != cell and not storage.is_file(storage.join(directory, cell))
    return suffixes.completed(directory, plain if is_plain else cell)


def _absent(path: str, table: Table, classes: Classes) -> Classes | None:
    """Returns the names of the classes that each file is known to lack; None without a column of these."""
    columns = [number for number, name in enumerate(table.columns) if name.lower() == _ABSENT]
    if not columns:
        return None
    absent = {
        name: tuple(dict.fromkeys(labels_in(row[columns[0]]))) for name, row in zip(classes, table.rows, strict=True)
    }
    for name, labels in absent.items():
        if both := set(labels) & set(classes[name]):
            raise InputError(f"csv:{path}: {name} both has and lacks {min(both)}; take it out of one of the columns.")
    return absent


def _say(
    path: str, table: Table, label_columns: Sequence[int], is_one_hot: bool, classes: Sequence[tuple[str, ...]]
) -> None:
    """Logs the columns that are the labels, and the rows without labels."""
    named = ", ".join(table.columns[number] for number in label_columns)
    logging.info("csv:%s: labels from the columns %s%s", path, named, ", one class each" if is_one_hot else "")
    empty = [place for place, labels in zip(table.places, classes, strict=True) if not labels]
    if empty:
        logging.warning("csv:%s: %s without a label, the first in %s", path, counted(len(empty), "row"), empty[0])


def _file_column(path: str, table: Table, wanted: Sequence[str]) -> int:
    """Returns the column of paths: the one that is asked for, else one whose first cell is a file, else one by name."""
    if wanted:
        return _number(path, table, wanted[0])
    directory = os.path.dirname(path)
    first = [str(cell) for cell in table.rows[0]]
    for number, cell in enumerate(first):
        if cell and storage.is_file(storage.join(directory, _file_name(directory, cell))):
            return number
    known = [number for number, name in enumerate(table.columns) if name.lower() in _FILE_NAMES]
    return known[0] if known else 0


def _label_columns(path: str, table: Table, file_column: int, wanted: Sequence[str]) -> list[int]:
    """Returns the columns of labels: those asked for, else one by its name, else all others, of text or of 0 and 1."""
    if wanted:
        return [_number(path, table, name) for name in wanted]
    others = [number for number, name in enumerate(table.columns) if number != file_column and name.lower() != _ABSENT]
    known = [number for number in others if table.columns[number].lower() in label_cell.NAMES]
    if len(known) == 1:
        return known
    numeric = [number for number in others if _holds_numbers(table.column(number))]
    if len(others) > 1 and numeric and not _is_one_hot(table, others):
        names = ", ".join(table.columns)
        raise InputError(
            f"csv:{path}: which columns are labels? The columns are {names}, and {_fault(table, numeric)}; write "
            f"csv:{path}?label_column=NAME, or NAME,NAME for several."
        )
    return others


def _fault(table: Table, numeric: Sequence[int]) -> str:
    """Returns the reason why columns of numbers are not classes with 0 and 1."""
    for row, place in zip(table.rows, table.places, strict=True):
        for number in numeric:
            if _flag(row[number]) is None:
                return f"{place}, column {table.columns[number]} holds {row[number]!r}, which is neither 0 nor 1"
    return f"only some hold 0 and 1, such as {table.columns[numeric[0]]}"


def _number(path: str, table: Table, name: str) -> int:
    if name not in table.columns:
        raise InputError.unknown(f"column in csv:{path}", name, table.columns)
    return list(table.columns).index(name)


def _is_one_hot(table: Table, columns: Sequence[int]) -> bool:
    """Whether every cell of the columns is 0 or 1."""
    return all(_flag(row[number]) is not None for row in table.rows for number in columns)


def _flag(cell: Any) -> bool | None:
    """Returns the value of a cell with 0 or 1, or with False or True; None for any other cell."""
    return _FLAGS.get(str(cell).strip().lower())


def _holds_numbers(cells: Sequence[Any]) -> bool:
    """Whether the cells are numbers or flags, empty ones aside."""
    full = [cell for cell in cells if labels_in(cell)]
    return bool(full) and all(_flag(cell) is not None or _is_number(cell) for cell in full)


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number; it may have a comma for its point."""
    try:
        return math.isfinite(float(cell.replace(",", ".") if isinstance(cell, str) else cell))
    except (TypeError, ValueError, OverflowError):
        return False
