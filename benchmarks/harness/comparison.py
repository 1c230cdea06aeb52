"""Contestants timed in turn in one run, and what may be said of them on a machine that has other work to do.

What is compared is paired: the ratio is taken in each round, between calls that follow each other, and the median of
these ratios comes with an interval that holds the true median in nine cases of ten or more, whatever the noise is
like. Where that interval leaves open who is faster, the verdict says so, and where fewer than five rounds give none.
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
_FEWEST_ROUNDS = 5  # of fewer even the range of all ratios holds the median less often than that
_SETTLED_SECONDS = 0.05  # by then, threads have given up waiting for more of their last work
_ALIKE = 1.1  # an interval narrower than this around one is a tie, not noise

Contestant = Callable[[], object]


class Result(Protocol):
    """What a case finds."""

    def table(self) -> str:
        """Returns it in Markdown."""

    def as_json(self) -> dict[str, Any]:
        """Returns all of it in JSON's types."""


@dataclasses.dataclass(frozen=True)
class Case:
    """One thing that a benchmark measures.

    Attributes:
        title: What it is; it also chooses the case on the command line.
        run: Makes everything that is needed, measures in so many rounds, and returns what it found.
    """

    title: str
    run: Callable[[str, int], Result]


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A ratio of two times, found round by round.

    Attributes:
        median: Median of the rounds.
        low: Lower end of the interval for the median.
        high: Upper end of it.
        num_rounds: Number of rounds.
    """

    median: float
    low: float
    high: float
    num_rounds: int

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Self:
        """Returns the ratio of two series of times, of the same rounds."""
        ratios = sorted(a / b for a, b in zip(above, below, strict=True))
        cut = _outliers(len(ratios))
        return cls(statistics.median(ratios), ratios[cut], ratios[-1 - cut], len(ratios))

    @property
    def verdict(self) -> str:
        """What whose time is above is, beside whose time is below."""
        if self.num_rounds < _FEWEST_ROUNDS:
            return "too few rounds to tell"
        if self.low > 1:
            return "slower"
        if self.high < 1:
            return "faster"
        return "alike" if self.high / self.low < _ALIKE else "too noisy to tell"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What was measured of some contestants that do the same work.

    Attributes:
        title: What the work is.
        seconds: Seconds of each call by contestant, ours first: [rounds] each.
        floor_seconds: What the machine's own limit would have taken in each round: [rounds]; empty where unknown.
        num_images: Number of images in one call; 0 where a call is not one of images.
        facts: Numbers that belong to it, by name.
    """

    title: str
    seconds: Mapping[str, Sequence[float]]
    floor_seconds: Sequence[float] = ()
    num_images: int = 0
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def ours(self) -> str:
        """The contestant that all others are compared with."""
        return next(iter(self.seconds))

    def ratios(self) -> dict[str, Ratio]:
        """Returns for each peer its time over ours: above one, ours is faster."""
        return {name: Ratio.of(times, self.seconds[self.ours]) for name, times in self.seconds.items()}

    def ratios_to_floor(self) -> dict[str, Ratio]:
        """Returns for each contestant its time over that of the machine's limit; empty where that is unknown."""
        if not self.floor_seconds:
            return {}
        return {name: Ratio.of(times, self.floor_seconds) for name, times in self.seconds.items()}

    def table(self) -> str:
        """Returns title, a Markdown table and a line of facts; ratios are of times to ours or to the floor."""
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
        """Returns all of it in JSON's types, every single time included."""
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
    """Times contestants in turn. Who begins a round changes, so that nobody always comes after the same.

    Args:
        title: What the work is.
        contestants: Functions by name, ours first; each call must have finished its work when it returns.
        rounds: How often each is timed.
        work: What there is to do at least, for the floor; the machine's rates are measured in every round.
        num_images: Number of images in one call; 0 where a call is not one of images.
        prepare: What is done before each call of a contestant and is not timed, by name; for others it is calls.
    """

    def settle(name: str) -> None:
        """Calls before it counts: the threads of who came before still wait by spinning, and the caches are theirs."""
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
    """Returns how many of the sorted ratios may be cut off at both ends.

    The median lies outside of the k-th smallest and the k-th largest of n with a probability of twice that of fewer
    than k heads in n throws of a coin.
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
