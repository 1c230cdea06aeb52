"""What several seeds say about which contestant is the best one."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Difference(NamedTuple):
    """By how much the best contestant is ahead of another one.

    Attributes:
        mean: Difference of the means over seeds.
        low: Lower end of its 95 % interval.
        high: Upper end of its 95 % interval.
    """

    mean: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Lead:
    """The contestant with the highest mean, and how sure this is.

    Attributes:
        best: Its name.
        ahead: Difference to each other contestant, by name; empty if some contestant has fewer than two seeds.
    """

    best: str
    ahead: Mapping[str, Difference]

    @property
    def beaten(self) -> list[str]:
        """Returns the contestants that the seeds tell from the best one: the whole interval is above zero."""
        return [name for name, difference in self.ahead.items() if difference.low > 0]


def lead(values: Mapping[str, Sequence[float]]) -> Lead:
    """Compares the contestants by Games and Howell's test, which allows each its own variance.

    The intervals of all pairs together hold with 95 %, so more contestants make them wider.

    Args:
        values: One number for each seed, by the name of the contestant; more is better.
    """
    names = list(values)
    best = max(names, key=lambda name: np.mean(values[name]))
    if len(names) < 2 or min(map(len, values.values())) < 2:
        return Lead(best, {})
    with np.errstate(all="ignore"):  # numbers without any variance have intervals of NaN, and tell nothing apart
        compared = stats.tukey_hsd(*values.values(), equal_var=False)
        interval = compared.confidence_interval(0.95)
    row = names.index(best)
    tables = (compared.statistic, interval.low, interval.high)
    ahead = {
        name: Difference(*(float(table[row, column]) for table in tables))
        for column, name in enumerate(names)
        if name != best
    }
    return Lead(best, ahead)
