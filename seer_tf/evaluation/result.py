"""The result of an evaluation: a number with its interval and the settings it depends on, as JSON or a table row."""

import dataclasses
import html
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from absl import logging

from seer_tf.errors import InputError, printable
from seer_tf.files import jsonl, sealed_json

_NUM_RESAMPLES = 1000
_LEVELS = (0.025, 0.975)

#: Detail that names the training classes without a test image.
UNCOVERED = "classes_without_test_images"
HEADER = ("evaluation", "protocol", "model", "training data", "test data", "metric", "%", "95 %", "seed")


@dataclasses.dataclass(frozen=True)
class EvaluationResult:
    """The result of an evaluation.

    Attributes:
        evaluation: Name of the evaluation.
        protocol: Description of the other settings that the number depends on.
        metric: Name of the metric.
        value: Value of the metric, a fraction.
        interval: Interval that holds 95 % of the values that other test images would give. It comes from a bootstrap
            over the test images, and does not cover other training sets or seeds.
        model: Name of the model, as the user gave it.
        train_data: Data spec of the training images; None if nothing was fitted.
        test_data: Data spec of the test images.
        num_train_images: Number of images that were fitted on.
        num_test_images: Number of images that the metric was measured on.
        num_classes: Number of classes to choose between.
        seed: Seed of all random draws.
        details: Further numbers, as JSON values.
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
        """Returns the name of the model, with the step of its run if it is known."""
        return self.model if self.step is None else f"{self.model}, step {self.step}"

    def to_json(self) -> str:
        """Returns one line with a JSON object; the details are at its top level."""
        return json.dumps(self.values())

    def values(self) -> dict[str, Any]:
        """Returns the values of the JSON object."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        details = values.pop("details")
        return {**values, **details}

    def cells(self) -> tuple[str, ...]:
        """Returns the cells of a table row, with the columns of `HEADER`."""
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
        """Returns the table row in Markdown."""
        return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in self.cells())} |"

    def _repr_html_(self) -> str:
        """Returns the row as a table, for notebooks."""
        lines = (
            f"<tr><th>{name}</th><td>{html.escape(cell)}</td></tr>"
            for name, cell in zip(HEADER, self.cells(), strict=True)
        )
        return f"<table>{''.join(lines)}</table>"


def bootstrap_interval(statistic: Callable[[np.ndarray], float], num_images: int, *, seed: int) -> tuple[float, float]:
    """Returns the bounds of the 95 % bootstrap interval of a statistic over the test images.

    Args:
        statistic: Function from image numbers, int [num_images] with repetitions, to the value of the statistic.
        num_images: Number of images in the test set.
        seed: Seed of the samples.
    """
    generator = np.random.default_rng(seed)
    values = [statistic(generator.integers(0, num_images, num_images)) for _ in range(_NUM_RESAMPLES)]
    low, high = np.quantile(values, _LEVELS)
    return float(low), float(high)


def mean_interval(values: np.ndarray, *, seed: int) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a mean over the test images.

    Args:
        values: Value of each image, [num_images]; for an accuracy, whether the image was classified correctly.
        seed: Seed of the samples.
    """
    return bootstrap_interval(lambda chosen: values[chosen].mean(), len(values), seed=seed)


def add_to_file(outcome: EvaluationResult, path: str | os.PathLike[str]) -> None:
    """Appends a result to a file with one JSON object per line, with a checksum; several processes may do so at once.

    Raises:
        OSError: The file cannot be written; it is unchanged.
    """
    jsonl.append_sealed(path, outcome.values())


def read_file(path: str | os.PathLike[str]) -> list[EvaluationResult]:
    """Reads the results that `add_to_file` wrote. A warning names lines that are damaged; the others count.

    Raises:
        InputError: The file cannot be read, or none of its lines is a result.
    """
    results, damaged = [], []
    try:
        for number, values in jsonl.numbered(path):
            try:
                results.append(_from_json(values))
            except sealed_json.DamagedJsonError as error:
                damaged.append(f"line {number}: {error}")
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist; an evaluation writes such a file, or prints a line for it at its end"
        ) from None
    except OSError as error:
        damaged.append(str(error.strerror))
    if damaged and not results:
        raise InputError(
            f"{path} is not a file of evaluation results ({damaged[0]}); give a file with one JSON object per line"
        )
    for place in damaged:
        logging.warning("%s, %s; this result is lost", path, printable(place))
    return results


def _from_json(values: Any) -> EvaluationResult:
    found = sealed_json.typed(values, dict[str, Any], "the result")
    names = [field.name for field in dataclasses.fields(EvaluationResult) if field.name != "details"]
    own = {name: found.pop(name) for name in names if name in found}
    return sealed_json.typed({**own, "details": found}, EvaluationResult, "the result")
