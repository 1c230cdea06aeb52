"""A comparison of methods: the runs, the table, and a recommendation that says how sure it is."""

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from seer_tf.evaluation.seeds import Difference, Lead, lead
from seer_tf.quantities import counted, duration, percent

#: Names of the accuracies by protocol.
PROTOCOLS = {"knn": "k-NN", "linear_probe": "linear probe"}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One run.

    Attributes:
        name: Name of the contestant.
        seed: Seed of the run.
        run: Run directory.
        network: Variant of the backbone.
        steps: Number of steps.
        batch: Number of images in a step.
        crops: Number of crops of an image.
        minutes: Time of the training, in minutes, by the median speed of the log.
        retries: Number of times that the run started again because it did not learn.
        rank_me: RankMe of the features at the end, in dimensions.
        accuracies: Fractions of the test images that are classified correctly, by protocol; empty without labels.
    """

    name: str
    seed: int
    run: str
    network: str
    steps: int
    batch: int
    crops: int
    minutes: float
    retries: int
    rank_me: float
    accuracies: Mapping[str, float]

    def line(self) -> str:
        """Returns the result as one line."""
        numbers = [f"{PROTOCOLS[protocol]} {percent(value)}" for protocol, value in self.accuracies.items()]
        return f"{self.name}, seed {self.seed}: {', '.join([*numbers, f'RankMe {self.rank_me:.1f}'])}"


@dataclasses.dataclass(frozen=True)
class MethodComparison:
    """A comparison, complete or not.

    Attributes:
        data: Data spec of the images that all runs were trained on.
        length: Length of each run, in words.
        methods: Names of the contestants.
        num_seeds: Number of runs of each contestant in the complete comparison.
        num_test_images: Number of images that the accuracies are measured on; 0 without labels.
        entries: The runs that are complete.
        baselines: Accuracies of features without training, by name and protocol.
        stopped_by: Name of the signal that stopped the comparison early; None if no signal stopped it.
    """

    data: str
    length: str
    methods: tuple[str, ...]
    num_seeds: int
    num_test_images: int
    entries: tuple[Entry, ...] = ()
    baselines: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    stopped_by: str | None = None

    @property
    def is_complete(self) -> bool:
        """Returns whether all runs are there."""
        return len(self.entries) >= self.num_seeds * len(self.methods)

    def of(self, name: str) -> list[Entry]:
        """Returns the runs of a contestant, by seed."""
        return sorted((entry for entry in self.entries if entry.name == name), key=lambda entry: entry.seed)

    def values(self, protocol: str) -> dict[str, list[float]]:
        """Returns the accuracies of each contestant that has a run; empty without labels."""
        found = {
            name: [entry.accuracies[protocol] for entry in self.of(name) if entry.accuracies] for name in self.methods
        }
        return {name: values for name, values in found.items() if values}

    def header(self) -> tuple[str, ...]:
        """Returns the header of the table."""
        return (
            "method",
            "runs",
            "steps",
            "batch",
            "crops",
            "time",
            *(f"{name} %" for name in PROTOCOLS.values()),
            "RankMe",
        )

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the rows of the table: the contestants with means and standard deviations, then the baselines."""
        rows = [self._row(name) for name in self.methods if self.of(name)]
        for name, accuracies in self.baselines.items():
            rows.append((name, *[""] * 5, *(f"{100 * accuracies[protocol]:.1f}" for protocol in PROTOCOLS), ""))
        return rows

    def _row(self, name: str) -> tuple[str, ...]:
        runs = self.of(name)
        accuracies = [self.values(protocol).get(name, []) for protocol in PROTOCOLS]
        return (
            name,
            str(len(runs)),
            f"{runs[0].steps:,}",
            str(runs[0].batch),
            str(runs[0].crops),
            duration(60 * statistics.mean(run.minutes for run in runs)),
            *(_spread([100 * value for value in values]) for values in accuracies),
            _spread([run.rank_me for run in runs]),
        )

    def text(self) -> str:
        """Returns the table and the recommendation."""
        table = [self.header(), *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in table]
        return "\n".join([*lines, *self.recommendation()])

    def recommendation(self) -> list[str]:
        """Returns sentences: which method is best by each accuracy, how sure that is, and the advice."""
        if not self.num_test_images:
            return [
                "Without labels nothing here says which method is better: RankMe, the dimensions that the features "
                "span, is no accuracy. Give labelled images by `test_data`, or images in a folder for each class."
            ]
        leads = {protocol: lead(self.values(protocol)) for protocol in PROTOCOLS if self.values(protocol)}
        if not leads:
            return []
        said = [self._verdict(protocol, found) for protocol, found in leads.items()]
        said += self._advice(list(leads.values()))
        said.append(
            "The intervals are of Games and Howell, 95 % for all pairs together. They cover other seeds, but neither "
            f"other test images ({self.num_test_images:,} here) nor other settings: no method was tuned for them."
        )
        return said

    def _verdict(self, protocol: str, found: Lead) -> str:
        values = self.values(protocol)[found.best]
        text = f"{PROTOCOLS[protocol]}: {found.best} is best, {percent(statistics.mean(values))}"
        if not found.ahead:
            return f"{text}; some method has one run only, so nothing says how much of a difference is chance."
        beaten = _listed({name: found.ahead[name] for name in found.beaten})
        others = _listed({name: found.ahead[name] for name in found.ahead if name not in found.beaten})
        text = f"{text} over {counted(len(values), 'seed')} ({percent(min(values))} to {percent(max(values))})."
        text += f" It is ahead of {beaten}." if beaten else ""
        return text + (f" The seeds do not tell it from {others}." if others else "")

    def _advice(self, leads: Sequence[Lead]) -> list[str]:
        """Returns the advice, and a warning if runs started again."""
        mean = statistics.mean(self.values("knn")[leads[0].best])
        above = [name for name, accuracies in self.baselines.items() if accuracies["knn"] >= mean]
        said = [_advice(leads)]
        if above:
            names = " and ".join(f"{name} with {percent(self.baselines[name]['knn'])}" for name in above)
            said = [f"Advice: none. By k-NN no method is above {names}: train longer."]
        if again := sum(entry.retries for entry in self.entries):
            said.append(f"Runs that did not learn started again {counted(again, 'time')} with other settings.")
        return said


def _advice(leads: Sequence[Lead]) -> str:
    best = {found.best for found in leads}
    if len(best) > 1:
        return (
            f"Advice: none. The two accuracies name different methods, {' and '.join(sorted(best))}; more seeds may "
            "settle it, or the kind of use: neighbours as in k-NN, or a classifier."
        )
    (name,) = best
    rivals = sorted({each for found in leads for each in found.ahead if each not in found.beaten})
    if rivals:
        return f"Advice: {name}, but not surely, since {' and '.join(rivals)} may be as good; more seeds would tell."
    if not leads[0].ahead:
        return f"Advice: {name}, but one run of each is a guess; give `seeds=3` or more."
    return f"Advice: {name}. Both accuracies say so, and the differences are larger than those between seeds."


def _spread(values: Sequence[float]) -> str:
    """Returns mean and standard deviation; the value alone if there is one."""
    if len(values) < 2:
        return f"{values[0]:.1f}" if values else ""
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def _listed(differences: Mapping[str, Difference]) -> str:
    each = [
        f"{name} (by {100 * found.mean:.1f} points, {100 * found.low:.1f} to {100 * found.high:.1f})"
        for name, found in differences.items()
    ]
    return ", ".join(each)
