"""How far a photo's predicted place is from its true one, and the share of photos within the five usual distances.

SEER's README reports these shares for Im2GPS. Which place it takes for a cell of the Earth's surface is not known.
"""

from collections.abc import Sequence

import numpy as np

from seer_tf.data.sources.table import Table, read_table
from seer_tf.errors import InputError

WITHIN_KM = {"street": 1, "city": 25, "region": 200, "country": 750, "continent": 2500}
_EARTH_RADIUS_KM = 6371.0088  # the mean radius of IUGG
_LATITUDES, _LONGITUDES = ("latitude", "lat"), ("longitude", "lon", "lng")


def distances_km(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns great-circle distances between places, float64 [N], by the haversine formula.

    Args:
        places: Latitudes and longitudes in degrees, [N, 2].
        others: Further ones, [N, 2].
    """
    (latitude, longitude), (other_latitude, other_longitude) = np.radians(places).T, np.radians(others).T
    half = np.sin((latitude - other_latitude) / 2) ** 2
    half += np.cos(latitude) * np.cos(other_latitude) * np.sin((longitude - other_longitude) / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * np.arcsin(np.sqrt(np.clip(half, 0, 1)))


def read_places(path: str, names: Sequence[str]) -> np.ndarray:
    """Reads latitudes and longitudes of images or classes from a table, as `csv:` reads it.

    Args:
        path: Table with the columns `latitude` and `longitude`; the first of the other columns has names.
        names: Names to look up.

    Returns:
        Degrees, float64 [N, 2], in the order of the names.

    Raises:
        InputError: The table cannot be read, lacks a column or a name, names something twice, or has a cell that is no
            latitude or longitude.
    """
    table = read_table(path)
    columns = [_column(path, table, known) for known in (_LATITUDES, _LONGITUDES)]
    name_column = next((number for number in range(len(table.columns)) if number not in columns), None)
    if name_column is None:
        raise InputError(f"{path} has no column of names beside latitude and longitude; add one")
    found: dict[str, list[float]] = {}
    for row, where in zip(table.rows, table.places, strict=True):
        name = str(row[name_column]).strip()
        if name in found:
            raise InputError(f"{path}: {where} names {name} again; give each name one place")
        found[name] = [
            _degrees(row[column], limit, f"{path}: {where}, column {table.columns[column]}")
            for column, limit in zip(columns, (90, 180), strict=True)
        ]
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(
            f"{path} has no place for {len(missing)} of {len(names)} names, the first {missing[0]}; add a line for each"
        )
    return np.array([found[name] for name in names], np.float64).reshape(-1, 2)


def _column(path: str, table: Table, known: Sequence[str]) -> int:
    for number, name in enumerate(table.columns):
        if name.strip().lower() in known:
            return number
    raise InputError(f"{path} has no column {known[0]}; its columns are {', '.join(table.columns)}")


def _degrees(cell: object, limit: int, where: str) -> float:
    try:
        degrees = float(str(cell))
    except ValueError:
        degrees = np.nan
    if not -limit <= degrees <= limit:
        raise InputError(f"{where} holds {cell!r}, which is not from -{limit} to {limit} degrees; correct it")
    return degrees
