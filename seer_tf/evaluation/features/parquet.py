"""Features of a shard as a Parquet file, which pandas, Polars, DuckDB and Spark read.

Columns: `image`, the name; `label`, a list with the numbers of the image's classes; and one column for each stage, a
list of fixed length. Rows are in small groups, so that a few of them can be read alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from seer_tf.errors import InputError

_ROWS_PER_GROUP = 64


def write_parquet(
    path: Path, ids: Sequence[str], classes: Sequence[Sequence[int]], features: Mapping[str, np.ndarray]
) -> None:
    """Writes the features of some images.

    Args:
        path: File to write.
        ids: Names of the images, N.
        classes: Classes of each image, N.
        features: Float16 or float32 [N, D] by stage.
    """
    columns = {
        # Names of files need not be UTF-8, but the text of a table is.
        "image": pyarrow.array([name.encode(errors="backslashreplace").decode() for name in ids], pyarrow.string()),
        "label": pyarrow.array(classes, pyarrow.list_(pyarrow.int64())),
        **{stage: _column(values) for stage, values in features.items()},
    }
    table = pyarrow.table(columns)
    # Numbers of a network hardly shrink, so compression and dictionaries would only cost time.
    pyarrow.parquet.write_table(
        table, path, row_group_size=_ROWS_PER_GROUP, compression="none", use_dictionary=["image"]
    )


def read_parquet(path: Path, stage: str, rows: np.ndarray) -> np.ndarray:
    """Returns some rows of a stage, float16 or float32 [n, D].

    Args:
        path: File to read.
        stage: Name of the stage.
        rows: Numbers of the rows, in any order, int64 [n], at least one.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            group_size = file.metadata.row_group(0).num_rows
            groups, group_of_row = np.unique(rows // group_size, return_inverse=True)
            column = file.read_row_groups(groups.tolist(), [stage]).column(stage).combine_chunks()
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise InputError(f"{path} cannot be read ({error}); extract the features again") from None
    values = column.flatten().to_numpy().reshape(len(column), -1)
    return values[group_size * group_of_row + rows % group_size]


def _column(values: np.ndarray) -> pyarrow.FixedSizeListArray:
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(native.ravel()), values.shape[1])
