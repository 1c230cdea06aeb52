"""The report of an evaluation: its result and a table, as text."""

import dataclasses
from collections.abc import Sequence

from seer_tf.evaluation.features.feature_set import FeatureSet
from seer_tf.evaluation.features.labelled import named
from seer_tf.evaluation.result import UNCOVERED, EvaluationResult
from seer_tf.quantities import counted


@dataclasses.dataclass(frozen=True)
class Report:
    """The report of an evaluation.

    Attributes:
        result: Result of the evaluation.
        header: Header of the table.
        rows: Rows of the table.
        notes: Lines before the table.
    """

    result: EvaluationResult
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Returns the table, then the result as a row in Markdown and, last, as a line of JSON."""
        result = self.result
        fitted = f"{result.num_train_images:,} training and " if result.train_data else ""
        title = (
            f"{result.evaluation} of {result.network}: {fitted}{counted(result.num_test_images, 'test image')}, "
            f"{counted(result.num_classes, 'class')}; {result.protocol}"
        )
        missing = result.details.get(UNCOVERED, ())
        without = [f"Not covered: {counted(len(missing), 'class')} without a test image: {named(missing)}"]
        widths = [max(map(len, column)) for column in zip(self.header, *self.rows, strict=True)]
        table = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in (self.header, *self.rows)
        ]
        return "\n".join(
            [*self.notes, title, *(without if missing else ()), *table, result.to_markdown(), result.to_json()]
        )


def percent_cells(value: float, interval: tuple[float, float]) -> tuple[str, str]:
    """Returns two table cells, a fraction and its interval, in percent."""
    return f"{100 * value:.2f}", f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}"


def described(features: FeatureSet, stage: str) -> str:
    """Returns a description of a stage's features and of the transform of their images."""
    rows = features.rows[stage]
    return f"{stage} of {counted(rows.shape[1], 'number')}, {rows[:1].dtype}; {features.origin.transform}"
