"""Labels as cells of tables and values of JSON hold them: one, several joined by `;`, a list, or none."""

import re
from typing import Any

#: Names, in lower case, of what holds labels.
NAMES = ("label", "labels", "class", "classes", "class_name", "category", "target", "tag", "tags")
_BETWEEN = ";"
#: A whole number as pandas writes it where some labels are missing.
_WHOLE = re.compile(r"^(-?\d+)\.0$")
#: Cells that mean nothing, as pandas reads and writes them.
_EMPTY = frozenset(
    ("", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "NULL", "null", "None")
)


def labels_in(cell: Any) -> list[str]:
    """Returns the labels in a cell."""
    if isinstance(cell, list):
        return [label for one in cell for label in labels_in(one)]
    labels = (label.strip() for label in ("" if cell is None else str(cell)).split(_BETWEEN))
    return [_WHOLE.sub(r"\1", label) for label in labels if label not in _EMPTY]
