"""The numbers of any run: what steps return becomes the numbers of an interval between two lines of the log."""

import math
import resource
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

LOSS = "loss/loss"


LOSS_SCALE = "arithmetic/loss_scale"


SKIPPED_STEPS = "arithmetic/skipped_steps"


DISTINCT_BATCHES = "data/distinct_batches"


MEAN_PIXEL = "data/mean_pixel"


IMAGES_PER_SECOND = "speed/images_per_second"


WAIT_SHARE = "speed/share_of_time_waiting_for_data"


SECONDS_PER_STEP = "speed/seconds_per_step"


def interval_metrics(steps: Mapping[str, np.ndarray], seconds: float, global_batch_size: int) -> dict[str, float]:
    """Returns the numbers of an interval of any kind of run, by the names that they have in the log.

    Args:
        steps: float [steps] each, what the steps returned, by name.
        seconds: how long they took together, logging included.
        global_batch_size: images in a step.

    Returns:
        Means over the steps that were made, and what is counted or timed over all of them.
    """
    made, num_steps = steps["first_bad"] < 0, len(steps["first_bad"])
    numbers = {name: _mean(values[made]) for name, values in steps.items() if "/" in name and name != MEAN_PIXEL}
    return numbers | {
        LOSS: _mean(steps["loss"][made]),
        "optimization/learning_rate": float(steps["learning_rate"][-1]),
        LOSS_SCALE: float(steps["loss_scale"][-1]),
        SKIPPED_STEPS: float(np.sum(~made)),
        DISTINCT_BATCHES: float(len(np.unique(steps[MEAN_PIXEL]))),
        IMAGES_PER_SECOND: num_steps * global_batch_size / seconds,
        WAIT_SHARE: float(np.sum(steps["seconds_waiting"])) / seconds,
        SECONDS_PER_STEP: seconds / num_steps,
        **_memory(),
    }


def first_bad(steps: Mapping[str, np.ndarray], first_step: int, names: Sequence[str]) -> tuple[int, str] | None:
    """Returns the first step that met a number which is not finite, and in which tensor; None where none did.

    Args:
        steps: float [steps] each, what the steps returned, by name.
        first_step: number of the first of them.
        names: of the tensors, in the order that `first_bad` counts.
    """
    bad = np.flatnonzero(steps["first_bad"] >= 0)
    return (first_step + int(bad[0]), names[int(steps["first_bad"][bad[0]])]) if bad.size else None


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _memory() -> dict[str, float]:
    """Returns the largest amount of memory that the process, and each GPU, has held so far."""
    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    peaks = {"memory/host_peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 2**30}
    for index, _ in enumerate(tf.config.list_logical_devices("GPU")):
        peak = tf.config.experimental.get_memory_info(f"GPU:{index}")["peak"]
        peaks[f"memory/gpu{index}_peak_gib"] = peak / 2**30
    return peaks
