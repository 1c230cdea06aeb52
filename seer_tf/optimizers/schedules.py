"""Learning rates over a run: a linear warm-up, then the curve that the config names.

`swav_cosine` is the curve of the original SwAV (main_swav.py). The warm-up reaches the peak, and the cosine begins
there.
`vissl_cosine` is the curve of SEER's training (fvcore's composite of a "rescaled" warm-up and a "fixed" cosine). The
cosine counts from the first step of the run, so the rate drops at the end of the warm-up, from 9.6 to 9.499 for
RegNetY-256GF.
`constant` stays at the peak. The checkpoint's name says that SEER's RegNetY-128GF was trained in this way.
`constant_then_halve` is the paper's "fixed learning rate" for a stream of unknown length (section 3.2). The rate is
constant until the loss no longer decreases, then it is halved, and so on. The paper does not say how this is detected.
"""

import math
from typing import Any

import keras
import tensorflow as tf

from seer_tf.config import SCHEDULES as KINDS
from seer_tf.config import ScheduleConfig
from seer_tf.distributed import collectives
from seer_tf.errors import InputError
from seer_tf.quantities import counted

_CURVES = tuple(kind for kind in KINDS if kind != "constant_then_halve")


def scaled_learning_rate(
    learning_rate: float, global_batch_size: int, reference_batch_size: int = 256, batch_scaling: str = "linear"
) -> float:
    """Returns the learning rate for another batch size, by the linear rule of Goyal et al. (arXiv 1706.02677).

    Args:
        learning_rate: Learning rate for `reference_batch_size` images in a step. SwAV and SEER use 0.3 for 256.
        global_batch_size: Number of images in a step, over all replicas.
        reference_batch_size: Batch size for which the learning rate is given.
        batch_scaling: "square_root" for SimCLR's rule for small batches (arXiv 2002.05709, appendix B.1).
    """
    ratio = global_batch_size / reference_batch_size
    return learning_rate * (ratio if batch_scaling == "linear" else math.sqrt(ratio))


def learning_rate_schedule(config: ScheduleConfig, num_steps: int, global_batch_size: int) -> "WarmupSchedule":
    """Returns the learning rate as a function of the step.

    Args:
        config: Kind, warm-up and learning rates. The rates scale with the batch size, as the config says.
        num_steps: Length of the run, including the warm-up.
        global_batch_size: Number of images in a step, over all replicas.

    Raises:
        InputError: The kind is unknown, or the warm-up is longer than the run.
    """
    rates = [
        scaled_learning_rate(rate, global_batch_size, config.reference_batch_size, config.batch_scaling)
        for rate in (config.warmup_start_learning_rate, config.peak_learning_rate, config.final_learning_rate)
    ]
    if config.kind == "constant_then_halve":
        return ConstantThenHalve(config.halving_window_steps, num_steps, config.warmup_steps, *rates)
    return WarmupSchedule(config.kind, num_steps, config.warmup_steps, *rates)


@keras.saving.register_keras_serializable(package="seer_tf")
class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up, then one of the curves. After the last step the rate stays the same."""

    def __init__(
        self,
        kind: str,
        num_steps: int,
        warmup_steps: int,
        warmup_start_learning_rate: float,
        peak_learning_rate: float,
        final_learning_rate: float,
    ) -> None:
        """Makes the schedule. For the arguments see `learning_rate_schedule` and `ScheduleConfig`."""
        super().__init__()
        if kind not in _CURVES:
            raise InputError.unknown("learning-rate schedule", kind, KINDS)
        if not 0 <= warmup_steps <= num_steps:
            raise InputError(
                f"schedule.warmup_steps={warmup_steps} must be between 0 and the length of the run, "
                f"{counted(num_steps, 'step')}"
            )
        self.kind = kind
        self.num_steps = num_steps
        self.warmup_steps = warmup_steps
        self.warmup_start_learning_rate = warmup_start_learning_rate
        self.peak_learning_rate = peak_learning_rate
        self.final_learning_rate = final_learning_rate

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, counted from zero, as a float32 scalar."""
        # In float64, because 1 + cos cancels near the end of a run, and the final rate is a thousandth of the peak.
        step = tf.cast(step, tf.float64)
        rise = self.peak_learning_rate - self.warmup_start_learning_rate
        warmup = self.warmup_start_learning_rate + rise * step / self._warmup_length()
        return tf.cast(tf.where(step < self.warmup_steps, warmup, self._after_warmup(step)), tf.float32)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """Returns the variables that a checkpoint must hold, by name: none for a schedule that only needs the step."""
        return {}

    def named_variables(self) -> dict[str, tf.Variable]:
        """Returns the variables by their names in a checkpoint."""
        return {f"schedule/{name}": variable for name, variable in self.variables.items()}

    def observed(self, step: tf.Tensor, loss: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their values after a step.

        Args:
            step: Number of the step.
            loss: Mean loss of the whole batch, a scalar.
        """
        return []

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


@keras.saving.register_keras_serializable(package="seer_tf")
class ConstantThenHalve(WarmupSchedule):
    """Linear warm-up, then a constant that is halved each time the mean loss of a window is no new minimum.

    Windows follow one another without gaps after the warm-up. The rate never falls below the final learning rate.
    """

    def __init__(self, window_steps: int, *arguments: Any, **named_arguments: Any) -> None:
        """Makes the variables. Call this inside the scope of the strategy.

        Args:
            window_steps: Number of steps whose losses are averaged.
            *arguments: Arguments of `WarmupSchedule` after `kind`.
            **named_arguments: The same by name.
        """
        super().__init__("constant", *arguments, **named_arguments)
        if window_steps < 1:
            raise InputError(
                f"schedule.halving_window_steps={window_steps} must be above zero: the learning rate is halved when "
                "the mean loss over this number of steps no longer decreases; take e.g. 2000"
            )
        self.window_steps = window_steps
        self._factor = collectives.shared_variable(1.0, tf.float64, "factor")
        self._lowest_mean = collectives.shared_variable(math.inf, tf.float64, "lowest_mean")
        self._sum = collectives.shared_variable(0.0, tf.float64, "sum")
        self._count = collectives.shared_variable(0.0, tf.float64, "count")

    def __call__(self, step: tf.Tensor) -> tf.Tensor:
        """Returns the learning rate of a step, counted from zero, as a float32 scalar."""
        unhalved = super().__call__(step)
        halved = tf.maximum(tf.cast(self._factor, unhalved.dtype) * unhalved, self.final_learning_rate)
        return tf.where(step < self.warmup_steps, unhalved, halved)

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """Returns the factor, the lowest mean loss of a window, and the sum and count of losses in the current one."""
        return {
            "factor": self._factor,
            "lowest_mean": self._lowest_mean,
            "sum": self._sum,
            "count": self._count,
        }

    def observed(self, step: tf.Tensor, loss: tf.Tensor) -> list[tuple[tf.Variable, tf.Tensor]]:
        """Returns the variables with their values after a step.

        Args:
            step: Number of the step.
            loss: Mean loss of the whole batch, a scalar.
        """
        counts = tf.cast(step >= self.warmup_steps, tf.float64)
        total, count = self._sum + counts * tf.cast(loss, tf.float64), self._count + counts
        complete = count >= self.window_steps
        mean = total / tf.maximum(count, 1.0)
        halve = complete & (mean >= self._lowest_mean)
        return [
            (self._factor, tf.where(halve, self._factor / 2, self._factor)),
            (self._lowest_mean, tf.where(complete, tf.minimum(mean, self._lowest_mean), self._lowest_mean)),
            (self._sum, tf.where(complete, tf.zeros_like(total), total)),
            (self._count, tf.where(complete, tf.zeros_like(count), count)),
        ]

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor."""
        config = super().get_config()
        del config["kind"]
        return {"window_steps": self.window_steps, **config}
