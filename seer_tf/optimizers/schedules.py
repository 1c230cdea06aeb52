"""Learning rates over a run: a linear warm-up, then the curve that the config names.

`swav_cosine` is the original SwAV's (main_swav.py): the warm-up reaches the peak, where the cosine begins.
`vissl_cosine` is the one SEER was trained with (fvcore's composite of a "rescaled" warm-up and a "fixed" cosine): the
cosine counts from the first step of the run, so the rate drops at the end of the warm-up, from 9.6 to 9.499 for
RegNetY-256GF.
`constant` stays at the peak, as the checkpoint's name says of SEER's RegNetY-128GF.
"""

import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import ScheduleConfig
from seer_tf.errors import InputError

KINDS = ("swav_cosine", "vissl_cosine", "constant")


def learning_rate_schedule(config: ScheduleConfig, num_steps: int) -> "WarmupSchedule":
    """Returns the learning rate as a function of the step.

    Args:
        config: kind, warm-up and learning rates; these are for the whole batch, already scaled by its size.
        num_steps: length of the run, warm-up included.

    Raises:
        InputError: the kind is unknown, or the warm-up is longer than the run.
    """
    return WarmupSchedule(num_steps=num_steps, **dataclasses.asdict(config))


@keras.saving.register_keras_serializable(package="seer_tf")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then one of `KINDS`; after the last step it stays as it is."""

    def __init__(
        self,
        kind: str,
        num_steps: int,
        warmup_steps: int,
        warmup_start_learning_rate: float,
        peak_learning_rate: float,
        final_learning_rate: float,
    ) -> None:
        """Arguments: see `learning_rate_schedule` and `ScheduleConfig`."""
        super().__init__()
        if kind not in KINDS:
            raise InputError.unknown("learning-rate schedule", kind, KINDS)
        if not 0 <= warmup_steps <= num_steps:
            raise InputError(
                f"schedule.warmup_steps={warmup_steps} must be between 0 and the length of the run, {num_steps} steps"
            )
        self.kind = kind
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.warmup_start_learning_rate = warmup_start_learning_rate
        self.peak_learning_rate = peak_learning_rate
        self.final_learning_rate = final_learning_rate

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, counted from zero, as a float32 scalar."""
        # In float64: 1 + cos near the end of a run cancels, and the final rate is a thousandth of the peak.
        step = tf.cast(step, tf.float64)
        rise = self.peak_learning_rate - self.warmup_start_learning_rate
        warmup = self.warmup_start_learning_rate + rise * step / self._warmup_length()
        return tf.cast(tf.where(step < self.warmup_steps, warmup, self._after_warmup(step)), tf.float32)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        return {
            "kind": self.kind,
            "num_steps": self.num_steps,
            "warmup_steps": self.warmup_steps,
            "warmup_start_learning_rate": self.warmup_start_learning_rate,
            "peak_learning_rate": self.peak_learning_rate,
            "final_learning_rate": self.final_learning_rate,
        }

    def _warmup_length(self) -> int:
        # SwAV's np.linspace reaches the peak in the last step of the warm-up, VISSL's one step later.
        steps = self.warmup_steps - 1 if self.kind == "swav_cosine" else self.warmup_steps
        return max(steps, 1)

    def _after_warmup(self, step: tf.Tensor) -> tf.Tensor:
        if self.kind == "constant":
            return tf.fill(tf.shape(step), tf.constant(self.peak_learning_rate, tf.float64))
        start = self.warmup_steps if self.kind == "swav_cosine" else 0
        progress = tf.clip_by_value((step - start) / max(self.num_steps - start, 1), 0, 1)
        fall = self.peak_learning_rate - self.final_learning_rate
        return self.final_learning_rate + fall * (1 + tf.cos(math.pi * progress)) / 2
