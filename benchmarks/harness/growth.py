"""Growth of quantities with a size: the exponent of the best power law, a table and a picture.

The exponent is the slope of a least-squares line through log(quantity) over log(size). If a quantity has a constant
part, its curve bends upwards, so the table also has the slope between the two largest sizes.
"""

import dataclasses
import io
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_PANEL_INCHES, _COLUMNS = (3.6, 2.8), 4
_DPI = 110


@dataclasses.dataclass(frozen=True)
class Growth:
    """Quantities measured at several sizes.

    Attributes:
        title: Description of the measurement.
        size: Name of the size, with its unit.
        sizes: Sizes in rising order.
        values: Values by name of the quantity with its unit, [sizes][rounds].
    """

    title: str
    size: str
    sizes: Sequence[int]
    values: Mapping[str, Sequence[Sequence[float]]]

    def medians(self, quantity: str) -> list[float]:
        """Returns the median over the rounds at each size."""
        return [statistics.median(rounds) for rounds in self.values[quantity]]

    def exponent(self, quantity: str) -> float:
        """Returns the exponent over all sizes."""
        return exponent(self.sizes, self.medians(quantity))

    def last_exponent(self, quantity: str) -> float:
        """Returns the exponent between the two largest sizes."""
        return exponent(self.sizes[-2:], self.medians(quantity)[-2:])

    def table(self) -> str:
        """Returns title and a Markdown table, with exponents in its last lines."""
        names = list(self.values)
        lines = [f"### {self.title}", "", f"| {' | '.join([self.size, *names])} |", "|---" * (1 + len(names)) + "|"]
        for number, size in enumerate(self.sizes):
            lines.append(f"| {' | '.join([f'{size:,}', *(_short(self.medians(name)[number]) for name in names)])} |")
        for label, fitted in (("exponent", self.exponent), ("between the last two", self.last_exponent)):
            lines.append(f"| {' | '.join([label, *(f'{fitted(name):.2f}' for name in names)])} |")
        return "\n".join([*lines, ""])

    def as_json(self) -> dict[str, Any]:
        """Returns all measurements as JSON values."""
        return {
            "title": self.title,
            "size": self.size,
            "sizes": list(self.sizes),
            "values": {name: [list(rounds) for rounds in values] for name, values in self.values.items()},
            "exponents": {name: _or_none(self.exponent(name)) for name in self.values},
            "exponents_between_last_two": {name: _or_none(self.last_exponent(name)) for name in self.values},
        }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Returns p of the best fit c * size ** p to the values; NaN if fewer than two values are above zero."""
    points = np.array([(size, value) for size, value in zip(sizes, values, strict=True) if value > 0])
    if len(points) < 2:
        return math.nan
    x, y = np.log(points).T
    return float(np.polyfit(x, y, 1)[0])


def measure(
    title: str, size: str, sizes: Sequence[int], measure_at: Callable[[int], Mapping[str, float]], *, rounds: int
) -> Growth:
    """Measures quantities at each size, going through all sizes in each round.

    Args:
        title: Description of the measurement.
        size: Name of the size, with its unit.
        sizes: Sizes in rising order.
        measure_at: Function that returns the quantities at a size, by name with unit.
        rounds: Number of rounds.
    """
    found = [[measure_at(each) for each in sizes] for _ in range(rounds)]
    names = list(found[0][0])
    values = {name: [[of_round[number][name] for of_round in found] for number in range(len(sizes))] for name in names}
    return Growth(title, size, sizes, values)


def picture(growths: Sequence[Growth]) -> bytes:
    """Returns a PNG with a panel for each quantity: logarithmic axes, medians, and the range of the rounds as lines."""
    panels = [(growth, quantity) for growth in growths for quantity in growth.values]
    num_columns = min(len(panels), _COLUMNS)
    num_rows = -(-len(panels) // num_columns)
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * num_columns, height * num_rows), layout="constrained", dpi=_DPI)
    for number, (growth, quantity) in enumerate(panels):
        _draw(figure.add_subplot(num_rows, num_columns, number + 1), growth, quantity)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()


def _draw(axes: Axes, growth: Growth, quantity: str) -> None:
    rounds = growth.values[quantity]
    lowest, highest = [min(each) for each in rounds], [max(each) for each in rounds]
    axes.vlines(growth.sizes, lowest, highest, linewidth=1)
    axes.plot(growth.sizes, growth.medians(quantity), "o-", markersize=4, linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlabel=growth.size, ylabel=quantity)
    axes.set_title(f"{growth.title}\nexponent {growth.exponent(quantity):.2f}", fontsize=9, loc="left")
    # The axis covers at least a decade, so that a constant quantity looks constant.
    widen = max(1.0, math.sqrt(10 * min(lowest) / max(highest))) if min(lowest) > 0 else 1.0
    if widen > 1:
        axes.set_ylim(min(lowest) / widen, max(highest) * widen)
    axes.set_xticks(growth.sizes, [f"{each:,}" for each in growth.sizes])
    axes.set_xticks([], minor=True)
    axes.grid(linewidth=0.4, alpha=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _or_none(value: float) -> float | None:
    """Returns None for NaN, because JSON has no NaN."""
    return None if math.isnan(value) else value
