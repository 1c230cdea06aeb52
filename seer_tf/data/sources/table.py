"""Tables as people keep them: separated values, JSON lines or Parquet; the content decides which.

Values are separated by commas, tabs, semicolons or vertical bars, whichever gives the first line most cells.
"""

import codecs
import csv
import dataclasses
import io
import json
from collections.abc import Sequence
from typing import Any

import pyarrow
import pyarrow.parquet

from seer_tf.errors import InputError
from seer_tf.files import storage

_SEPARATORS = (",", "\t", ";", "|")
_PARQUET_MAGIC = b"PAR1"


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells by row and column.

    Attributes:
        columns: Names of the columns.
        rows: Cells of each row: texts, or the values of JSON and Parquet; None where there is none.
        places: Place of each row in the file, for messages, e.g. `line 3`.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    places: Sequence[str]

    def column(self, number: int) -> list[Any]:
        """Returns the cells of a column."""
        return [row[number] for row in self.rows]


def read_table(path: str) -> Table:
    """Reads a table.

    Raises:
        InputError: The file cannot be read or is no table.
    """
    try:
        data = storage.read(path)
    except OSError as error:
        raise InputError(f"csv:{path}: the table cannot be read ({error.strerror}); give a CSV file.") from None
    table = _parquet(path, data) if data.startswith(_PARQUET_MAGIC) else _of_text(path, _text(path, data))
    if not table.rows or len(table.columns) < 2:
        raise InputError(f"csv:{path}: the table needs a line of column names, then a path and a label on each line.")
    return table


def _of_text(path: str, text: str) -> Table:
    start = text.lstrip()[:1]
    if start == "[":
        raise InputError(f"csv:{path}: this is a list in JSON; write JSON lines, an object on each line.")
    return _json_lines(path, text) if start == "{" else _separated_values(path, text)


def _text(path: str, data: bytes) -> str:
    is_utf_16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # Excel's "Unicode text"
    try:
        text = data.decode("utf-16" if is_utf_16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        line, before = data.count(b"\n", 0, error.start) + 1, data.rfind(b"\n", 0, error.start)
        where = f"line {line}, byte {error.start - before}"
        raise InputError(f"csv:{path}: this is not CSV in UTF-8 ({where}); save it as such a file.") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InputError(
            f"csv:{path}: this is not CSV in UTF-8 (it contains a NUL byte in line {line}); save it as such a file."
        )
    return text


def _separated_values(path: str, text: str) -> Table:
    lines = io.StringIO(text, newline=None)  # Old files end their lines with a carriage return alone.
    first = lines.readline()
    lines.seek(0)
    rows, places, line = [], [], 1
    try:
        separator = max(_SEPARATORS, key=lambda one: len(next(csv.reader([first], delimiter=one), [])))
        reader = csv.reader(lines, delimiter=separator, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        line = reader.line_num + 1
        for row in reader:
            if any(row):  # Excel leaves empty rows at the end.
                rows.append(row)
                places.append(f"line {line}")
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(f"csv:{path}: line {line} is not CSV ({error}); correct it.") from None
    for row, place in zip(rows, places, strict=True):
        if len(row) != len(columns):
            raise InputError(f"csv:{path}: {place} has {len(row)} cells instead of {len(columns)}; correct it.")
    return Table(columns, rows, places)


def _json_lines(path: str, text: str) -> Table:
    objects, places = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"csv:{path}: line {number}, column {error.colno} is not JSON ({error.msg}); write one object a line."
            ) from None
        except (ValueError, RecursionError):
            raise InputError(
                f"csv:{path}: line {number} has a number or lists that are too long or deep; correct it."
            ) from None
        if not isinstance(found, dict):
            raise InputError(f"csv:{path}: line {number} is no JSON object; write an object on each line.")
        objects.append(found)
        places.append(f"line {number}")
    columns = list(dict.fromkeys(name for found in objects for name in found))
    return Table(columns, [[found.get(name) for name in columns] for found in objects], places)


def _parquet(path: str, data: bytes) -> Table:
    try:
        file = pyarrow.parquet.ParquetFile(io.BytesIO(data))
        names = [field.name for field in file.schema_arrow if not _holds_bytes(field.type)]
        found = file.read(names)
        columns = [column.to_pylist() for column in found.columns]
    except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"csv:{path}: the Parquet file cannot be read ({reason}); write it again.") from None
    places = [f"row {number}" for number in range(1, found.num_rows + 1)]
    return Table(names, list(zip(*columns, strict=True)), places)


def _holds_bytes(kind: pyarrow.DataType) -> bool:
    """Whether the cells of a column are bytes or structures, such as images inside of the table."""
    types = pyarrow.types
    return types.is_struct(kind) or types.is_binary(kind) or types.is_large_binary(kind)
