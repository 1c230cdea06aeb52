"""Metrics that every run logs: each interval turns the values returned by its steps into one number per metric."""

import math
import resource
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

LOSS = "loss/loss"
RANK_ME = "features/rank_me"
FEATURE_STD = "features/std_times_sqrt_dims"
LOSS_SCALE = "training/loss_scale"
SKIPPED_STEPS = "training/skipped_steps"
DISTINCT_BATCHES = "training/distinct_batches"
MEAN_PIXEL = "training/mean_pixel"
IMAGES_PER_SECOND = "system/images_per_second"
WAIT_SHARE = "system/share_of_time_waiting_for_data"
LOGGING_SHARE = "system/share_of_time_logging"
SECONDS_PER_STEP = "system/seconds_per_step"

#: Fractions of a whole, from 0 to 1. TensorBoard and the terminal show them in percent.
SHARES = frozenset({WAIT_SHARE, LOGGING_SHARE})


def interval_metrics(steps: Mapping[str, np.ndarray], seconds: float, global_batch_size: int) -> dict[str, float]:
    """Returns the metrics of an interval, by their names in the log.

    Args:
        steps: Float [steps] for each name, the values that the steps returned.
        seconds: Duration of the interval, logging included.
        global_batch_size: Images per step over all replicas.

    Returns:
        Means over the steps that were not skipped; counts and times over all steps.
    """
    made, num_steps = steps["first_bad"] < 0, len(steps["first_bad"])
    numbers = {name: _mean(values[made]) for name, values in steps.items() if "/" in name and name != MEAN_PIXEL}
    return numbers | {
        LOSS: _mean(steps["loss"][made]),
        "training/learning_rate": float(steps["learning_rate"][-1]),
        LOSS_SCALE: float(steps["loss_scale"][-1]),
        SKIPPED_STEPS: float(np.sum(~made)),
        DISTINCT_BATCHES: float(len(np.unique(steps[MEAN_PIXEL]))),
        IMAGES_PER_SECOND: num_steps * global_batch_size / seconds,
        WAIT_SHARE: float(np.sum(steps["seconds_waiting"])) / seconds,
        SECONDS_PER_STEP: seconds / num_steps,
        **_memory(),
    }


def first_bad(steps: Mapping[str, np.ndarray], first_step: int, names: Sequence[str]) -> tuple[int, str] | None:
    """Returns the first step with a number that is not finite, and the name of the tensor; None if all are finite.

    Args:
        steps: Float [steps] for each name, the values that the steps returned.
        first_step: Number of the first of these steps.
        names: Names of the tensors, by index.
    """
    bad = np.flatnonzero(steps["first_bad"] >= 0)
    return (first_step + int(bad[0]), names[int(steps["first_bad"][bad[0]])]) if bad.size else None


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _memory() -> dict[str, float]:
    """Returns the peak memory of the process and of each GPU so far, in GiB."""
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"system/host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 2**30}
    for index, _ in enumerate(tf.config.list_logical_devices("GPU")):
        peak = tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"]
        peaks[f"system/gpu{index}_peak_gib"] = peak / 2**30
    return peaks
