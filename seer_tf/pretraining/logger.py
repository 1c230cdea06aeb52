"""The log of a pretraining run: numbers, pictures, histograms and health checks from the values that steps return."""

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from seer_tf.data.sources.base import Source
from seer_tf.methods.swav import collapse, metrics
from seer_tf.methods.swav.metrics import RANK_ME
from seer_tf.methods.swav.model import SwavModel
from seer_tf.methods.swav.state import TrainState
from seer_tf.pretraining.gallery import Gallery, View
from seer_tf.quantities import percent
from seer_tf.training.checkpoints import Quality
from seer_tf.training.health import HealthMonitor
from seer_tf.training.logger import Logger, LogOptions
from seer_tf.training.run_directory import RunDirectory

WITHOUT_LABELS = "quality/without_labels"
_PROTOTYPE_ROWS = "Each row: the images with the highest scores for a prototype. The most used prototype comes first."
_NEIGHBOUR_ROWS = "Each row: an image, then the images nearest to it by the cosine of their features, nearest first."
_SAID = {"probe/knn_top1": "k-NN", "probe/linear_top1": "linear probe"}


@dataclasses.dataclass(frozen=True)
class PretrainingLogOptions(LogOptions):
    """Optional outputs of the log of pretraining.

    Attributes:
        probe: Function that takes the model and returns a function that measures the model's features. The returned
            function is called every `run.examine_every_steps` steps. It returns shares by name; the first share is the
            quality by which checkpoints are compared.
    """

    probe: Callable[[SwavModel], Callable[[], Mapping[str, float]]] | None = None


class PretrainingLogger(Logger):
    """Shows the progress of pretraining and writes its measurements. `quality` is the quality of the features."""

    _state: TrainState

    def __init__(
        self,
        state: TrainState,
        source: Source,
        directory: RunDirectory,
        crops: tuple[tf.Tensor, ...],
        options: PretrainingLogOptions,
    ) -> None:
        """Opens the log at the step of the state.

        Args:
            state: State of the run.
            source: Source of the images.
            directory: Run directory.
            crops: Crops of the first batch.
            options: Optional outputs.

        Raises:
            InputError: The directory cannot be written.
        """
        super().__init__(
            state,
            directory,
            HealthMonitor(state.config, collapse.CHECKS),
            "pretraining",
            options,
            metrics.SHARES,
        )
        self._summaries.crops(self._step, crops)
        self._gallery = Gallery(source, state.config, state.model)
        self._probe = options.probe(state.model) if options.probe else None
        self._probed: Mapping[str, float] = {}

    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns the numbers from the steps, from the gallery and, when they are due, from the probe."""
        numbers = metrics.of_interval(steps, seconds, self._state.config)
        view = self._gallery.view()
        numbers |= view.numbers()
        numbers[WITHOUT_LABELS] = quality_without_labels(numbers)
        if self._diagnostics_are_due(step):
            numbers |= self._examine(step, view)
        alone = {WITHOUT_LABELS: numbers[WITHOUT_LABELS]}
        known = self._probed if self._probe else alone  # empty before the probe's first measurement
        qualities = (Quality(measure, value) for measure, value in known.items() if not math.isnan(value))
        self.quality = next(qualities, None)
        return numbers

    def _examine(self, step: int, view: View) -> Mapping[str, float]:
        """Writes pictures and histograms, and returns the numbers from the probe."""
        weights = self._state.model.trainable_variables
        prototypes, neighbours = self._gallery.prototype_sheet(view), self._gallery.neighbour_sheet(view)
        self._summaries.pictures(step, {"prototypes/images": prototypes}, _PROTOTYPE_ROWS)
        self._summaries.pictures(step, {"features/neighbours": neighbours}, _NEIGHBOUR_ROWS)
        self._summaries.histograms(
            step,
            {
                "values/features": view.features,
                "values/feature_std": view.features.std(axis=0),
                "values/prototype_scores": view.scores,
                "values/images_of_prototypes": np.bincount(view.scores.argmax(axis=1), minlength=view.scores.shape[1]),
                "values/weight_norms": np.array([float(tf.norm(tf.cast(weight, tf.float32))) for weight in weights]),
            },
        )
        self._probed = self._probe() if self._probe else {}
        self._shares |= self._probed.keys()
        return self._probed

    def _note(self, numbers: Mapping[str, float]) -> str:
        probed = [f"{_SAID.get(name, name)} {percent(value)}" for name, value in self._probed.items()]
        return ", ".join([f"loss {numbers[metrics.RELATIVE_LOSS]:.3f} ln K", *probed, self._speed(numbers)])


def quality_without_labels(numbers: Mapping[str, float]) -> float:
    """Returns the quality of checkpoints without a probe: ln RankMe x (1 - entropy of predictions / ln K).

    Among the numbers that need no labels, this one agrees best with k-NN (`benchmarks/suite/checkpoint_choice.py`,
    docs/lab/results.md). It is zero if all features are alike, or if no prediction prefers a prototype.

    Args:
        numbers: Numbers of an interval, by their names in the log.
    """
    return math.log(numbers[RANK_ME]) * (1.0 - numbers[metrics.PREDICTION_ENTROPY])
