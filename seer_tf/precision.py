"""The precision for sums, statistics, scores and losses."""

from typing import Any


def at_least_float32(dtype: Any) -> str:
    """Returns "float64" for float64, and "float32" for all other precisions, such as bfloat16.

    Args:
        dtype: A dtype of TensorFlow or its name, or one of `config.PRECISIONS`.
    """
    return "float64" if dtype == "float64" else "float32"
