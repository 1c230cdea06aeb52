"""Learning rates over the epochs of supervised training, with Keras's own schedules."""

import keras

from seer_tf.finetuning.config import SCHEDULES, EpochScheduleConfig
from seer_tf.optimizers.schedules import scaled_learning_rate


def epoch_schedule(
    config: EpochScheduleConfig, num_steps: int, global_batch_size: int
) -> keras.optimizers.schedules.LearningRateSchedule:
    """Returns the learning rate as a function of the step, counted from zero.

    Args:
        config: Kind and rates. The rates scale with the batch size (VISSL's linear rule).
        num_steps: Number of steps in all epochs together.
        global_batch_size: Number of images in a step, over all replicas.
    """
    peak, final = (
        scaled_learning_rate(rate, global_batch_size, config.reference_batch_size)
        for rate in (config.peak_learning_rate, config.final_learning_rate)
    )
    if config.kind == SCHEDULES[0]:
        # In Keras a boundary step still belongs to the part before it.
        ends = [round(epoch * num_steps / config.num_epochs) - 1 for epoch in config.step_epochs]
        rates = [peak * config.step_factor**number for number in range(len(ends) + 1)]
        return keras.optimizers.schedules.PiecewiseConstantDecay(ends, rates)
    return keras.optimizers.schedules.CosineDecay(peak, num_steps, alpha=final / peak)
