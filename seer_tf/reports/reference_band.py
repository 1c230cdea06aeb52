"""The band of a recipe: the range of its reference runs' curves, and whether another run is inside."""

import dataclasses
import math
import pathlib

import numpy as np

from seer_tf.errors import InputError
from seer_tf.reports.curves import Curves, read_curves
from seer_tf.reports.units import SHARES

#: Numbers that healthy runs of a recipe share; speed, memory and similar numbers depend on the machine.
COMPARED = (
    "loss/relative_to_ln_K",
    "prototypes/share_in_use",
    "prototypes/entropy_of_codes",
    "prototypes/entropy_of_predictions",
    "prototypes/agreement_of_views",
    "features/rank_me",
    "features/std_times_sqrt_dims",
    "probe/knn_top1",
    "probe/linear_top1",
)
#: Directory of the package's reference runs.
REFERENCES = pathlib.Path(__file__).parent / "reference_runs"
_MARGIN = 1.0  # times the range of the seeds, on each side, because a few seeds do not show the full range
_LEAST_MARGIN = 0.03  # times the value, because seeds may agree by chance
_SHARE_INSIDE = 0.9


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Whether one curve of a run is inside the band of its recipe.

    Attributes:
        name: Name of the number.
        num_steps: Number of steps that run and references have in common.
        num_inside: Number of these steps at which the run is inside the band.
        first_outside: First step outside, with the run's value and the band's ends; None if all steps are inside.
    """

    name: str
    num_steps: int
    num_inside: int
    first_outside: tuple[int, float, float, float] | None

    @property
    def is_inside(self) -> bool:
        """Returns whether at most a tenth of the steps are outside."""
        return self.num_inside >= _SHARE_INSIDE * self.num_steps

    @property
    def outside(self) -> str:
        """Returns a description of the first step outside; empty if all steps are inside."""
        if self.first_outside is None:
            return ""
        step, *values = self.first_outside
        value, low, high = (f"{100 * v:.1f}" if self.name in SHARES else f"{v:.3g}" for v in values)
        return f"at step {step} the value is {value}, the band {low} to {high}{' %' if self.name in SHARES else ''}"


def read_references(directory: pathlib.Path, name: str) -> list[Curves]:
    """Returns the curves of a recipe's reference runs, one for each file `<name>/*.jsonl`.

    Raises:
        InputError: The recipe has no reference runs.
    """
    files = sorted((directory / name).glob("*.jsonl"))
    if not files:
        raise InputError.unknown("reference", name, sorted({file.parent.name for file in directory.glob("*/*.jsonl")}))
    return [read_curves(file) for file in files]


def band(references: list[Curves], name: str) -> dict[int, tuple[float, float]]:
    """Returns the lower and upper end of a number's band, at each step that all references have.

    The band stays at or above zero, and for a share at or below one, because numbers in the log never exceed these.
    """
    curves = [reference.get(name, {}) for reference in references]
    ends = {}
    for step in sorted(set.intersection(*(set(curve) for curve in curves))):
        values = np.array([curve[step] for curve in curves])
        margin = max(_MARGIN * float(np.ptp(values)), _LEAST_MARGIN * float(np.abs(values).max()))
        ends[step] = (
            max(0.0, float(values.min()) - margin),
            min(1.0 if name in SHARES else math.inf, float(values.max()) + margin),
        )
    return ends


def judge(run: Curves, references: list[Curves]) -> list[Verdict]:
    """Returns a verdict for every number that run and references have at a common step.

    Raises:
        InputError: There is no common step, for example because the run is logged at other steps.
    """
    verdicts = []
    for name in COMPARED:
        ends = band(references, name)
        values = {step: value for step, value in run.get(name, {}).items() if step in ends}
        outside = [step for step, value in values.items() if not ends[step][0] <= value <= ends[step][1]]
        if values:
            first = (outside[0], values[outside[0]], *ends[outside[0]]) if outside else None
            verdicts.append(Verdict(name, len(values), len(values) - len(outside), first))
    if not verdicts:
        raise InputError("run and reference have no step in common; log the run at the intervals of its recipe")
    return verdicts
