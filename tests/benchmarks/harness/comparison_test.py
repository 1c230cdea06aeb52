"""Comparisons: intervals agree with exact binomial numbers and hold under noise.

Also verdicts and the order of calls.
"""

import itertools

import numpy as np
import pytest
from scipy import stats

from benchmarks.harness import comparison
from benchmarks.harness.comparison import Ratio, compare
from benchmarks.harness.floors import Work


@pytest.mark.parametrize("rounds", [*range(1, 42), 100])
def test_nine_of_ten_intervals_hold_the_median_after_the_cut(rounds: int) -> None:
    cut = comparison._outliers(rounds)
    # The median is outside if at most `cut` of the ratios are on one side of the median.
    outside = 2 * stats.binom.cdf([cut, cut + 1], rounds, 0.5)
    assert outside[0] <= 0.1 or (cut == 0 and rounds < 5)
    assert outside[1] > 0.1 or cut + 1 >= rounds / 2


def test_the_interval_holds_the_median_under_heavy_tailed_noise() -> None:
    random, ones = np.random.default_rng(0), [1.0] * 9
    intervals = [Ratio.of((2 * np.exp(random.standard_t(1.5, 9))).tolist(), ones) for _ in range(2000)]
    share = np.mean([interval.low <= 2 <= interval.high for interval in intervals])
    assert share == pytest.approx(1 - 2 * stats.binom.cdf(1, 9, 0.5), abs=0.015)  # 0.961


@pytest.mark.parametrize(
    ("times", "verdict"),
    [
        ([1.3, 1.2, 1.4, 1.3, 1.2, 1.3, 1.5, 1.3, 0.5], "slower"),
        ([0.8, 0.7, 0.8, 0.9, 0.8, 0.7, 0.8, 0.8, 3.0], "faster"),
        ([1.01, 0.99, 1.02, 0.98, 1.0, 1.0, 1.01, 0.99, 5.0], "alike"),
        ([1.5, 0.6, 1.4, 0.7, 1.0, 1.2, 0.8, 1.6, 0.5], "too noisy to tell"),
        ([2.0, 2.0, 2.0, 2.0], "too few rounds to tell"),
    ],
)
def test_the_verdict_says_no_more_than_the_interval(times: list[float], verdict: str) -> None:
    assert Ratio.of(times, [1.0] * len(times)).verdict == verdict


def test_ratios_compare_times_of_the_same_round() -> None:
    slow_rounds = [1.0, 10.0, 1.0, 10.0, 1.0]
    ratio = Ratio.of([1.5 * seconds for seconds in slow_rounds], slow_rounds)
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((1.5, 1.5, 1.5))


def test_contestants_take_turns_after_untimed_calls() -> None:
    calls: list[str] = []
    contestants = {name: lambda name=name: calls.append(name) for name in "abc"}
    found = compare("turns", contestants, rounds=3)
    turns = [(name, len(list(group))) for name, group in itertools.groupby(calls)]
    assert "".join(name for name, _ in turns) == "abc" + "abc" + "bca" + "cab"
    assert all(number > 1 for _, number in turns)
    assert {name: len(times) for name, times in found.seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_table_and_json_agree() -> None:
    found = compare(
        "sums",
        {"ours": lambda: sum(range(10)), "theirs": lambda: sum(range(20_000))},
        rounds=9,
        work=Work(num_bytes=100),
        num_images=3,
    )
    values = found.as_json()
    assert values["verdicts"] == {"theirs": "slower"}
    assert len(values["floor_seconds"]) == 9
    (line,) = [line for line in found.table().splitlines() if line.startswith("| theirs")]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[4] == f"{3 / np.median(values['seconds']['theirs']):,.4g}"
    assert cells[5] == f"{values['ratios_to_ours']['theirs']['median']:.2f}"
    assert cells[7] == "slower"
    assert cells[8] == f"{values['ratios_to_floor']['theirs']['median']:.1f}"
