"""What every evaluation ends in: one number with its interval, and all that it depends on, as JSON and as a row."""

import dataclasses
import html
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seer_tf.errors import InputError
from seer_tf.files import jsonl

_NUM_RESAMPLES = 1000
_LEVELS = (0.025, 0.975)

HEADER = ("evaluation", "protocol", "model", "training data", "test data", "metric", "%", "95 %", "seed")


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        evaluation: Name of the evaluation.
        protocol: What else the number depends on, in words.
        metric: What the number is.
        value: A fraction.
        interval: Where 95 % of the values lie that other test images would have given (bootstrap over the test images;
            another training set or seed is not part of it).
        model: What the user called it.
        train_data: Data flag; None where nothing was fitted.
        test_data: Data flag.
        num_train_images: Fitted on.
        num_test_images: Read on.
        num_classes: Number of classes to choose between.
        seed: Seed of all random draws.
        details: Further numbers, in JSON's types.
        digest: Digest of the network's weights and normalisation, by `model_digest`; None if unknown.
        step: Step of the run that the network is from; None if unknown.
    """

    evaluation: str
    protocol: str
    metric: str
    value: float
    interval: tuple[float, float]
    model: str
    train_data: str | None
    test_data: str
    num_train_images: int
    num_test_images: int
    num_classes: int
    seed: int
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    digest: str | None = None
    step: int | None = None

    @property
    def network(self) -> str:
        """Returns what the user called the model, and at which step of its run it was."""
        return self.model if self.step is None else f"{self.model}, step {self.step}"

    def to_json(self) -> str:
        """Returns one line with a JSON object; the details stand beside the rest."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        details = values.pop("details")
        return json.dumps({**values, **details})

    def cells(self) -> tuple[str, ...]:
        """Returns a row of a table with the columns of `HEADER`."""
        low, high = self.interval
        return (
            self.evaluation,
            self.protocol,
            self.network,
            "" if self.train_data is None else f"{self.train_data} ({self.num_train_images:,})",
            f"{self.test_data} ({self.num_test_images:,})",
            self.metric,
            f"{100 * self.value:.2f}",
            f"{100 * low:.2f} to {100 * high:.2f}",
            str(self.seed),
        )

    def to_markdown(self) -> str:
        """Returns the row in Markdown."""
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in self.cells())} |"

    def _repr_html_(self) -> str:
        """Returns the row as a table, for notebooks."""
        lines = (
            f"<tr><th>{name}</th><td>{html.escape(cell)}</td></tr>"
            for name, cell in zip(HEADER, self.cells(), strict=True)
        )
        return f"<table>{''.join(lines)}</table>"


def bootstrap_interval(statistic: Callable[[np.ndarray], float], num_images: int, *, seed: int) -> tuple[float, float]:
    """Returns between which values a statistic of the test images lies in 95 % of samples from images such as these.

    Args:
        statistic: Statistic from numbers of images, int [num_images] with repetitions, to its value.
        num_images: Number of images in the test set.
        seed: Seed of the samples.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, num_images, num_images)) for _ in range(_NUM_RESAMPLES)]
    low, high = np.quantile(values, _LEVELS)
    return float(low), float(high)


def mean_interval(values: np.ndarray, *, seed: int) -> tuple[float, float]:
    """Returns the interval of a mean over the test images.

    Args:
        values: Values of each image, [num_images]; for an accuracy whether it was classified right.
        seed: Seed of the samples.
    """
    return bootstrap_interval(lambda chosen: values[chosen].mean(), len(values), seed=seed)


def add_to_file(outcome: EvaluationResult, path: str | os.PathLike[str]) -> None:
    """Appends a result to a file with one JSON object per line; several processes may do so at the same time.

    Raises:
        OSError: The file cannot be written; it is unchanged.
    """
    jsonl.append_line(path, outcome.to_json())


def read_file(path: str | os.PathLike[str]) -> list[EvaluationResult]:
    """Reads what `add_to_file` wrote.

    Raises:
        InputError: it cannot be read, or a line of it is no outcome.
    """
    try:
        lines = Path(path).read_text("utf-8").splitlines()
        return [_from_json(json.loads(line)) for line in lines if line.strip()]
    except FileNotFoundError:
        raise InputError(f"{path} is not there; an evaluation writes it, or prints such a line at its end") from None
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise InputError(f"{path} is no file of evaluations ({error}); give one with a JSON object a line") from None


def _from_json(values: Any) -> EvaluationResult:
    if not isinstance(values, dict):
        raise TypeError(f"{values!r} is no object")
    optional = ("digest", "step")  # older lines are without them
    names = [field.name for field in dataclasses.fields(EvaluationResult) if field.name != "details"]
    own = {name: values.pop(name) for name in names if name in values or name not in optional}
    return EvaluationResult(**{**own, "interval": tuple(own["interval"])}, details=values)
