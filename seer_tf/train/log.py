"""The log of a run of pretraining: what its steps return becomes numbers, pictures, histograms and a verdict."""

import dataclasses
import math
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
import tensorflow as tf

from seer_tf.data.source import Source
from seer_tf.models.swav_model import SwavModel
from seer_tf.train import measurements
from seer_tf.train.checkpoints import Quality
from seer_tf.train.gallery import RANK_ME, Gallery, View
from seer_tf.train.interval_log import IntervalLog
from seer_tf.train.run_directory import RunDirectory
from seer_tf.train.state import TrainState
from seer_tf.train.summaries import crop_sheet
from seer_tf.train.troubles import Guard

WITHOUT_LABELS = "quality/without_labels"


@dataclasses.dataclass(frozen=True)
class Watching:
    """What is looked at beside the numbers of every run. Nothing of it changes the run.

    Attributes:
        probe: makes of a model the function that is called every `run.examine_every_steps` and returns what the
            features are worth, by the names of the log; checkpoints are compared by the first.
        json_file: takes the numbers of each interval as one JSON object per line.
        profile_steps: TensorFlow's profiler records from the first to the last of these steps.
    """

    probe: Callable[[SwavModel], Callable[[], Mapping[str, float]]] | None = None
    json_file: pathlib.Path | None = None
    profile_steps: tuple[int, int] | None = None


class RunLog(IntervalLog):
    """Shows the progress of pretraining and writes what is measured; the quality is that of the features."""

    _state: TrainState

    def __init__(
        self,
        state: TrainState,
        source: Source,
        directory: RunDirectory,
        crops: tuple[tf.Tensor, ...],
        watching: Watching,
    ) -> None:
        """Opens the log at the step of the state.

        Args:
            state: of the run.
            source: its images.
            directory: of the run.
            crops: the first batch.
            watching: what else is looked at.

        Raises:
            InputError: nothing can be written to the directory.
        """
        super().__init__(
            state,
            directory,
            Guard(state.config),
            "pretraining",
            json_file=watching.json_file,
            profile_steps=watching.profile_steps,
        )
        self._summaries.pictures(self._step, {"crops": crop_sheet(crops)})
        self._gallery = Gallery(source, state.config, state.model)
        self._probe = watching.probe(state.model) if watching.probe else None
        self._probed: Mapping[str, float] = {}

    def _measured(self, step: int, steps: Mapping[str, np.ndarray], seconds: float) -> dict[str, float]:
        """Returns what the steps say, and what the gallery and now and then the probe do."""
        numbers = measurements.of_interval(steps, seconds, self._state.config)
        view = self._gallery.view()
        numbers |= view.numbers()
        numbers[WITHOUT_LABELS] = quality_without_labels(numbers)
        if self._examination_is_due(step):
            numbers |= self._examine(step, view)
        alone = {WITHOUT_LABELS: numbers[WITHOUT_LABELS]}
        known = self._probed if self._probe else alone  # nothing before the probe's first look
        qualities = (Quality(measure, value) for measure, value in known.items() if not math.isnan(value))
        self.quality = next(qualities, None)
        return numbers

    def _examine(self, step: int, view: View) -> Mapping[str, float]:
        """Writes pictures and histograms, and returns what the probe says."""
        weights = self._state.model.trainable_variables
        self._summaries.pictures(
            step,
            {
                "prototypes/images": self._gallery.prototype_sheet(view),
                "neighbours/images": self._gallery.neighbour_sheet(view),
            },
        )
        self._summaries.histograms(
            step,
            {
                "features/values": view.features,
                "features/std_of_channels": view.features.std(axis=0),
                "prototypes/scores": view.scores,
                "prototypes/images_of_each": np.bincount(view.scores.argmax(axis=1), minlength=view.scores.shape[1]),
                "weights/norms": np.array([float(tf.norm(tf.cast(weight, tf.float32))) for weight in weights]),
            },
        )
        self._probed = self._probe() if self._probe else {}
        return self._probed

    def _note(self, numbers: Mapping[str, float]) -> str:
        probed = "".join(f", {name.rpartition('/')[2]} {value:.1%}" for name, value in self._probed.items())
        return (
            f"loss {numbers[measurements.LOSS]:.3f} = {numbers[measurements.RELATIVE_LOSS]:.3f} ln K{probed}, "
            f"{numbers[measurements.IMAGES_PER_SECOND]:.0f} images/s, {numbers[measurements.WAIT_SHARE]:.0%} waiting "
            "for data"
        )


def quality_without_labels(numbers: Mapping[str, float]) -> float:
    """Returns what checkpoints are compared by without a probe: ln RankMe x (1 - entropy of predictions / ln K).

    Of what the log says without labels it goes best with k-NN (`benchmarks/checkpoint_choice.py`, docs/results.md). It
    is nought where all features are alike and where no prediction prefers a prototype.

    Args:
        numbers: of an interval, by the names of the log.
    """
    return math.log(numbers[RANK_ME]) * (1.0 - numbers[measurements.PREDICTION_ENTROPY])
