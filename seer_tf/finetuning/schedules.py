"""Learning rates over the epochs of supervised training: a linear warm-up, then steps or a cosine."""

import keras
import tensorflow as tf

from seer_tf.finetuning.config import SCHEDULES, EpochScheduleConfig
from seer_tf.optimizers.schedules import WarmupSchedule, scaled_learning_rate


def epoch_schedule(
    config: EpochScheduleConfig, num_steps: int, global_batch_size: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the step, counted from zero.

    As in VISSL, steps and cosine count from the first step of the run, whether or not there is a warm-up.

    Args:
        config: Kind and rates. The rates scale with the batch size (VISSL's linear rule).
        num_steps: Number of steps in all epochs together.
        global_batch_size: Number of images in a step, over all replicas.
    """
    start, peak, final = (
        scaled_learning_rate(rate, global_batch_size, config.reference_batch_size)
        for rate in (config.warmup_start_learning_rate, config.peak_learning_rate, config.final_learning_rate)
    )

    def step_of(epoch: float) -> int:
        return round(epoch * num_steps / config.num_epochs)

    is_cosine = config.kind != SCHEDULES[0]
    curve = WarmupSchedule(
        "vissl_cosine" if is_cosine else "constant", num_steps, step_of(config.warmup_epochs), start, peak, final
    )
    return curve if is_cosine else Stepped(curve, [step_of(epoch) for epoch in config.step_epochs], config.step_factor)


class Stepped(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule, multiplied by a factor at each of some steps."""

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, steps: list[int], factor: float
    ) -> None:
        """Makes the schedule.

        Args:
            schedule: Learning rate as a function of the step.
            steps: Steps at which the learning rate is multiplied by the factor once more.
            factor: Factor on the learning rate.
        """
        super().__init__()
        self._schedule, self._steps, self._factor = schedule, steps, factor

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, counted from zero, as a float32 scalar."""
        num_passed = tf.add_n([tf.cast(step >= passed, tf.float32) for passed in self._steps])
        return self._schedule(step) * self._factor**num_passed
