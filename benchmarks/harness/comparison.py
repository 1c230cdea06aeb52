"""Contestants timed in turn in one run, with verdicts that hold on a machine with other work.

Comparisons are paired. Each round gives a ratio between calls that follow each other. The median of these ratios comes
with an interval that holds the true median in nine of ten cases or more, for any kind of noise. If the interval leaves
open which contestant is faster, the verdict says so. Fewer than five rounds give no verdict.
"""

import collections
import dataclasses
import functools
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

from benchmarks.harness.floors import Limits, Work

_CONFIDENCE = 0.9
_FEWEST_ROUNDS = 5  # with fewer, even the range of all ratios holds the median less often than `_CONFIDENCE`
_SETTLED_SECONDS = 0.05  # after this time the threads of the last contestant have stopped spinning
_ALIKE = 1.1  # an interval around one that is narrower than this factor is a tie

Contestant = Callable[[], object]


class Result(Protocol):
    """The result of a case."""

    def table(self) -> str:
        """Returns the result as a Markdown table."""

    def as_json(self) -> dict[str, Any]:
        """Returns the whole result as JSON values."""


@dataclasses.dataclass(frozen=True)
class Case:
    """A case of a benchmark.

    Attributes:
        title: Title of the case, by which --only chooses it.
        run: Function that takes the title and the number of rounds, prepares everything, measures, and returns the
            result.
    """

    title: str
    run: Callable[[str, int], Result]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A ratio of two times, measured round by round.

    Attributes:
        median: Median over the rounds.
        low: Lower end of the interval for the median.
        high: Upper end of the interval for the median.
        num_rounds: Number of rounds.
    """

    median: float
    low: float
    high: float
    num_rounds: int

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Self:
        """Returns the ratio of two series of times from the same rounds."""
        ratios = sorted(a / b for a, b in zip(above, below, strict=True))
        cut = _outliers(len(ratios))
        return cls(statistics.median(ratios), ratios[cut], ratios[-1 - cut], len(ratios))

    @property
    def verdict(self) -> str:
        """Returns how the contestant in the numerator compares with the one in the denominator."""
        if self.num_rounds < _FEWEST_ROUNDS:
            return "too few rounds to tell"
        if self.low > 1:
            return "slower"
        if self.high < 1:
            return "faster"
        return "alike" if self.high / self.low < _ALIKE else "too noisy to tell"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Measured times of contestants that do the same work.

    Attributes:
        title: Description of the work.
        seconds: Seconds of each call by contestant, ours first, [rounds] each.
        floor_seconds: Seconds for the work at the machine's limit in each round, [rounds]; empty if unknown.
        num_images: Number of images in one call; 0 if a call does not process images.
        facts: Further numbers by name.
    """

    title: str
    seconds: Mapping[str, Sequence[float]]
    floor_seconds: Sequence[float] = ()
    num_images: int = 0
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ours(self) -> str:
        """Returns the contestant with which all others are compared."""
        return next(iter(self.seconds))

    def ratios(self) -> dict[str, Ratio]:
        """Returns each contestant's time divided by ours; above one means that ours is faster."""
        return {name: Ratio.of(times, self.seconds[self.ours]) for name, times in self.seconds.items()}

    def ratios_to_floor(self) -> dict[str, Ratio]:
        """Returns each contestant's time divided by the time at the machine's limit; empty if that is unknown."""
        if not self.floor_seconds:
            return {}
        return {name: Ratio.of(times, self.floor_seconds) for name, times in self.seconds.items()}

    def table(self) -> str:
        """Returns title, a Markdown table and a line of facts; ratios are times relative to ours or to the floor."""
        lines = [
            f"### {self.title}",
            "",
            f"| | median | fastest | slowest | images/s | to {self.ours} | 90 % interval | verdict | to floor |",
            "|---" * 9 + "|",
        ]
        to_floor = self.ratios_to_floor()
        for name, ratio in self.ratios().items():
            times = self.seconds[name]
            median = statistics.median(times)
            cells = [name, *(_time(value) for value in (median, min(times), max(times)))]
            cells.append(f"{self.num_images / median:,.4g}" if self.num_images else "")
            if name == self.ours:
                cells += ["1", "", ""]
            else:
                cells += [_ratio(ratio.median), f"{_ratio(ratio.low)} to {_ratio(ratio.high)}", ratio.verdict]
            cells.append(f"{to_floor[name].median:.1f}" if to_floor else "")
            lines.append(f"| {' | '.join(cells)} |")
        facts = "; ".join(f"{name}: {value}" for name, value in self.facts.items())
        return "\n".join([*lines, *(["", facts] if facts else []), ""])

    def as_json(self) -> dict[str, Any]:
        """Returns the whole comparison as JSON values, including every single time."""
        return {
            "title": self.title,
            "seconds": {name: list(times) for name, times in self.seconds.items()},
            "floor_seconds": list(self.floor_seconds),
            "num_images": self.num_images,
            "ratios_to_ours": {name: dataclasses.asdict(ratio) for name, ratio in self.ratios().items()},
            "verdicts": {name: ratio.verdict for name, ratio in self.ratios().items() if name != self.ours},
            "ratios_to_floor": {name: dataclasses.asdict(ratio) for name, ratio in self.ratios_to_floor().items()},
            "facts": dict(self.facts),
        }


def compare(
    title: str,
    contestants: Mapping[str, Contestant],
    *,
    rounds: int,
    work: Work | None = None,
    num_images: int = 0,
    prepare: Mapping[str, Contestant] | None = None,
) -> Comparison:
    """Times contestants in turn. The first contestant changes from round to round.

    Args:
        title: Description of the work.
        contestants: Functions by name, ours first; each call must have finished its work when it returns.
        rounds: Number of times that each contestant is timed.
        work: Least work of a call, for the floor; the machine's rates are measured in every round.
        num_images: Number of images in one call; 0 if a call does not process images.
        prepare: Functions by contestant that run before each timed call; for other contestants, untimed calls do.
    """

    def settle(name: str) -> None:
        """Makes untimed calls, because threads of the previous contestant still spin and the caches hold its data."""
        until = time.perf_counter() + _SETTLED_SECONDS
        contestants[name]()
        while time.perf_counter() < until:
            contestants[name]()

    before = {name: functools.partial(settle, name) for name in contestants} | dict(prepare or {})

    def timed(name: str) -> float:
        before[name]()
        started = time.perf_counter()
        contestants[name]()
        return time.perf_counter() - started

    for name in contestants:
        timed(name)
    limits = Limits() if work else None
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    floor_seconds = []
    order = collections.deque(contestants)
    for _ in range(rounds):
        for name in order:
            seconds[name].append(timed(name))
        order.rotate(-1)
        if work and limits:
            floor_seconds.append(limits.seconds(work))
    return Comparison(title, seconds, floor_seconds, num_images)


def _outliers(rounds: int) -> int:
    """Returns the number of sorted ratios to cut off at each end.

    The median lies outside the k-th smallest and k-th largest of n ratios with a probability that is twice the
    probability of fewer than k heads in n throws of a coin.
    """
    cut, outside = 0, 2 * 0.5**rounds
    while cut + 1 < rounds / 2:
        outside += 2 * math.comb(rounds, cut + 1) * 0.5**rounds
        if outside > 1 - _CONFIDENCE:
            break
        cut += 1
    return cut


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.1f} ms"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio >= 0.1 else f"{ratio:.2g}"
