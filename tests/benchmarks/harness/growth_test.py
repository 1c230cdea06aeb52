"""Growth: the exponent of a known power law, the effect of a constant part, table, JSON and picture."""

import io
import json
import math

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import growth

SIZES = [10, 100, 1_000, 10_000]


@pytest.mark.parametrize("power", [-1.0, 0.0, 0.5, 1.0, 2.0])
def test_the_exponent_equals_that_of_the_power_law(power: float) -> None:
    assert growth.exponent(SIZES, [3.7 * size**power for size in SIZES]) == pytest.approx(power)


def test_the_exponent_of_noisy_values_is_the_least_squares_slope() -> None:
    values = [size**1.5 * noise for size, noise in zip(SIZES, (1.1, 0.9, 1.2, 0.8), strict=True)]
    x, y = np.log(SIZES), np.log(values)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    assert growth.exponent(SIZES, values) == pytest.approx(slope)


def test_without_two_values_there_is_no_exponent() -> None:
    assert math.isnan(growth.exponent(SIZES, [0, 0, 0, 5.0]))


def test_a_growth_has_median_exponents_table_and_json() -> None:
    noise = iter([1.0, 1.0, 1.0, 50.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    found = growth.measure(
        "work by size",
        "things",
        SIZES[:3],
        lambda n: {"time, s": (100 + n) * next(noise), "memory, MiB": 0.0},
        rounds=3,
    )
    assert found.values["time, s"][0] == [110, 5500, 110]
    assert found.medians("time, s") == [110, 200, 1100]
    assert found.last_exponent("time, s") == pytest.approx(math.log10(5.5))
    assert f"| between the last two | {math.log10(5.5):.2f} | nan |" in found.table()
    assert "| 1,000 | 1,100 | 0 |" in found.table()
    values = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert values["exponents"]["memory, MiB"] is None
    assert values["exponents_between_last_two"]["time, s"] == pytest.approx(math.log10(5.5))


def test_each_quantity_has_a_panel() -> None:
    found = [growth.measure("a", "n", SIZES, lambda n: {"b": float(n), "c": 1.0}, rounds=1)]
    one_row, two_rows = (Image.open(io.BytesIO(growth.picture(found * times))) for times in (2, 3))
    assert one_row.format == "PNG"
    assert one_row.size == (two_rows.width, two_rows.height // 2)  # four panels in a row
