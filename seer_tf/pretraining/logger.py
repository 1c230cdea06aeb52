"""The logs of pretraining: numbers, pictures, histograms and health checks from the values that steps return."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Set
from typing import ClassVar

import numpy as np
import tensorflow as tf

from seer_tf.config import PretrainingConfig
from seer_tf.data.sources.base import Source
from seer_tf.methods.byol import collapse as byol_collapse
from seer_tf.methods.moco import collapse as moco_collapse
from seer_tf.methods.simclr import collapse as simclr_collapse
from seer_tf.methods.swav import collapse, metrics
from seer_tf.methods.swav.state import TrainState
from seer_tf.models.encoder import Encoder
from seer_tf.pretraining.gallery import Gallery, GalleryOutputs
from seer_tf.quantities import percent
from seer_tf.training import view_metrics
from seer_tf.training.checkpoints import Quality
from seer_tf.training.health import COMMON_CHECKS, HealthCheck, HealthMonitor
from seer_tf.training.logger import Logger, LogOptions
from seer_tf.training.metrics import LOSS, RANK_ME, interval_metrics
from seer_tf.training.run_directory import RunDirectory
from seer_tf.training.state import RunState

WITHOUT_LABELS = "quality/without_labels"
BY_COLOUR = "features/neighbours_by_colour"
_MOSTLY_COLOUR = 0.5
_PROTOTYPE_ROWS = "Each row: the images with the highest scores for a prototype. The most used prototype comes first."
_NEIGHBOUR_ROWS = "Each row: an image, then the images nearest to it by the cosine of their features, nearest first."
_SAID = {
    "probe/knn_top1": "k-NN",
    "probe/linear_top1": "linear probe",
    "probe/knn_top1_of_pixels": "k-NN of pixels",
}


@dataclasses.dataclass(frozen=True)
class PretrainingLogOptions(LogOptions):
    """Optional outputs of the log of pretraining.

    Attributes:
        probe: Function that takes the model and returns a function that measures the model's features. The returned
            function is called every `run.examine_every_steps` steps. It returns shares by name; the first share is the
            quality by which checkpoints are compared.
        conclusion: Function that takes the model at the end of a run, and returns what to say about it.
    """

    probe: Callable[[Encoder], Callable[[], Mapping[str, float]]] | None = None
    conclusion: Callable[[Encoder], str] | None = None


class PretrainingLogger(Logger):
    """Shows the progress of pretraining by any method and writes its measurements.

    The quality of a checkpoint is the first number from the probe. A method that writes more has a subclass.

    Attributes:
        checks: Health checks of each interval.
        shares: Names of the method's metrics that are fractions from 0 to 1.
    """

    checks: ClassVar[tuple[HealthCheck, ...]] = COMMON_CHECKS
    shares: ClassVar[Set[str]] = frozenset()

    def __init__(
        self,
        state: RunState,
        source: Source,
        directory: RunDirectory,
        crops: tuple[tf.Tensor, ...],
        options: PretrainingLogOptions,
    ) -> None:
        """Opens the log at the step of the state, and reads the images of the gallery.

        Args:
            state: State of the run.
            source: Source of the images.
            directory: Run directory.
            crops: Crops of the first batch.
            options: Optional outputs.

        Raises:
            InputError: The directory cannot be written.
        """
        assert isinstance(state.config, PretrainingConfig)
        self._global_batch_size = state.config.data.global_batch_size
        monitor = HealthMonitor(state.config, self.checks)
        super().__init__(state, directory, monitor, "pretraining", options, self.shares | {BY_COLOUR})
        self._summaries.crops(self._step, crops)
        self._gallery = Gallery(source, state.config, state.model)
        self._probe = options.probe(state.model) if options.probe else None
        self._compared = options.conclusion
        self._probed: Mapping[str, float] = {}

    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns the numbers from the steps, from the gallery and, when they are due, from the probe."""
        outputs = self._gallery.outputs()
        numbers = self._of_interval(steps, seconds) | outputs.numbers()
        numbers[BY_COLOUR] = self._gallery.neighbours_by_colour(outputs)
        without_labels = self._without_labels(numbers)
        if self._diagnostics_are_due(step):
            self._show(step, outputs)
            numbers |= self._probe_now()
        self._judge(self._probed if self._probe else without_labels)  # empty before the probe's first measurement
        return numbers | without_labels

    def _of_interval(self, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns the numbers from the steps."""
        return interval_metrics(steps, seconds, self._global_batch_size)

    def _without_labels(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Returns the quality of a checkpoint without a probe, by its name in the log; nothing if none is known."""
        return {}

    def _show(self, step: int, outputs: GalleryOutputs) -> None:
        """Writes pictures and histograms."""
        weights = self._state.model.trainable_variables
        neighbours = self._gallery.neighbour_sheet(outputs)
        self._summaries.pictures(step, {"features/neighbours": neighbours}, _NEIGHBOUR_ROWS)
        self._summaries.histograms(
            step,
            {
                "values/features": outputs.features,
                "values/feature_std": outputs.features.std(axis=0),
                "values/weight_norms": np.array([float(tf.norm(tf.cast(weight, tf.float32))) for weight in weights]),
            },
        )

    def _probe_now(self) -> Mapping[str, float]:
        """Returns the numbers from the probe; nothing without a probe."""
        self._probed = self._probe() if self._probe else {}
        self._shares |= self._probed.keys()
        return self._probed

    def _judge(self, measures: Mapping[str, float]) -> None:
        """Makes the first known measure the quality of the next checkpoint."""
        qualities = (Quality(measure, value) for measure, value in measures.items() if not math.isnan(value))
        self.quality = next(qualities, None)

    def _conclusion(self, numbers: Mapping[str, float]) -> str:
        """Returns the comparison with simple pixels; without labels, a comparison of the gallery with colours."""
        if self._compared:
            return self._compared(self._state.model)
        return without_labels(numbers[BY_COLOUR], self._gallery.chance)

    def _note(self, numbers: Mapping[str, float]) -> str:
        probed = [f"{_SAID.get(name, name)} {percent(value)}" for name, value in self._probed.items()]
        return ", ".join([self._loss(numbers), *probed, self._speed(numbers)])

    def _loss(self, numbers: Mapping[str, float]) -> str:
        return f"loss {numbers[LOSS]:.3f}"


class SwavLogger(PretrainingLogger):
    """The log of SwAV. Without a probe, `quality_without_labels` is the quality of a checkpoint."""

    checks = collapse.CHECKS
    shares = metrics.SHARES
    _state: TrainState

    def _of_interval(self, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        return metrics.of_interval(steps, seconds, self._state.config)

    def _without_labels(self, numbers: Mapping[str, float]) -> dict[str, float]:
        return {WITHOUT_LABELS: quality_without_labels(numbers)}

    def _show(self, step: int, outputs: GalleryOutputs) -> None:
        prototypes = self._gallery.prototype_sheet(outputs)
        self._summaries.pictures(step, {"prototypes/images": prototypes}, _PROTOTYPE_ROWS)
        super()._show(step, outputs)
        self._summaries.histograms(
            step,
            {
                "values/prototype_scores": outputs.scores,
                "values/images_of_prototypes": np.bincount(
                    outputs.scores.argmax(axis=1), minlength=outputs.scores.shape[1]
                ),
            },
        )

    def _loss(self, numbers: Mapping[str, float]) -> str:
        return f"loss {numbers[metrics.RELATIVE_LOSS]:.3f} ln K"


class SimclrLogger(PretrainingLogger):
    """The log of SimCLR."""

    checks = simclr_collapse.CHECKS
    shares = view_metrics.SHARES


class MocoLogger(PretrainingLogger):
    """The log of MoCo."""

    checks = moco_collapse.CHECKS
    shares = view_metrics.SHARES


class ByolLogger(PretrainingLogger):
    """The log of BYOL."""

    checks = byol_collapse.CHECKS


def without_labels(by_colour: float, chance: float) -> str:
    """Returns the conclusion of a run without labels.

    Args:
        by_colour: Share of an image's nearest images by the features that are also nearest by colour.
        chance: The same share for features that have nothing to do with colour.
    """
    known = (
        f"{percent(by_colour, 0)} of an image's nearest images by the features are also nearest by their colour "
        f"histogram ({percent(chance, 0)} by chance)"
    )
    if by_colour > _MOSTLY_COLOUR:
        known += (
            "; the network has learned little but colour: raise `crops.hue` and `crops.grayscale_probability`, unless "
            "colour is what you look for"
        )
    return (
        f"Without labels nobody knows whether the network beats simple pixels: {known}. "
        "Labelled images as `probe_data` of pretrain answer this."
    )


def quality_without_labels(numbers: Mapping[str, float]) -> float:
    """Returns the quality of checkpoints without a probe: ln RankMe x (1 - entropy of predictions / ln K).

    Among the numbers that need no labels, this one agrees best with k-NN (`benchmarks/suite/checkpoint_choice.py`,
    docs/lab/results.md). It is zero if all features are alike, or if no prediction prefers a prototype.

    Args:
        numbers: Numbers of an interval, by their names in the log.
    """
    return math.log(numbers[RANK_ME]) * (1.0 - numbers[metrics.PREDICTION_ENTROPY])
