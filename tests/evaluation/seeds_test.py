"""The lead over seeds: Games and Howell's intervals, by their formula, and what they tell apart."""

import numpy as np
import pytest
from scipy import stats

from seer_tf.evaluation.seeds import lead

_VALUES = {"one": [0.50, 0.52, 0.51], "two": [0.40, 0.43, 0.40], "three": [0.48, 0.53, 0.44, 0.46]}


def games_howell(one: list[float], other: list[float], num_groups: int) -> tuple[float, float]:
    """Returns the ends of the 95 % interval of the difference (Games and Howell 1976)."""
    parts = [np.var(group, ddof=1) / len(group) for group in (one, other)]
    degrees = sum(parts) ** 2 / sum(part**2 / (len(group) - 1) for part, group in zip(parts, (one, other), strict=True))
    reach = stats.studentized_range.ppf(0.95, num_groups, degrees) * np.sqrt(sum(parts) / 2)
    difference = np.mean(one) - np.mean(other)
    return difference - reach, difference + reach


def test_the_intervals_equal_the_formula() -> None:
    found = lead(_VALUES)
    assert found.best == "one" and list(found.ahead) == ["two", "three"]
    for name, difference in found.ahead.items():
        low, high = games_howell(_VALUES["one"], _VALUES[name], 3)
        assert difference == pytest.approx((np.mean(_VALUES["one"]) - np.mean(_VALUES[name]), low, high), rel=1e-4)
    assert found.beaten == ["two"]


def test_more_contestants_make_the_intervals_wider() -> None:
    alone = lead({name: _VALUES[name] for name in ("one", "two")}).ahead["two"]
    among_more = lead(_VALUES).ahead["two"]
    assert among_more.low < alone.low and among_more.high > alone.high


def test_one_seed_says_nothing_about_chance() -> None:
    found = lead({"one": [0.9], "two": [0.1, 0.2]})
    assert (found.best, found.ahead, found.beaten) == ("one", {}, [])


def test_numbers_without_variance_tell_nothing_apart() -> None:
    assert lead({"one": [0.5, 0.5], "two": [0.3, 0.3]}).beaten == []
