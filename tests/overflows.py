"""Training steps that overflow on one replica, for tests with two replicas and with two processes."""

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.training.step import checked_tensors
from tests.small_networks import random_crops, shared_out, small_config, small_model

#: The event in each step. An event changes the images of the last replica or the loss scale.
EVENTS = ("nothing", "an infinite pixel", "nothing", "black images", "nothing", "an enormous loss scale", "nothing")


def step_through(strategy: tf.distribute.Strategy) -> list[dict[str, Any]]:
    """Runs one step in float16 for each event and returns a report of each step.

    Args:
        strategy: Strategy with two replicas.

    Returns:
        One dictionary for each step: the name of the tensor that was not finite, the names of the changed variables,
            the loss scale, the counters, a digest of all variables, and whether the variables are equal on all replicas
            of this process.
    """
    config = small_config("run.precision=mixed_float16", "swav.queue_length=16", "swav.freeze_prototypes_steps=0")
    with strategy.scope():
        state = TrainState(config, model=small_model(config, batch_norm=True, synchronized=True))
    step = tf.function(lambda crops: strategy.run(train_step, args=(state, crops)), autograph=False)
    reports, before = [], copies(state, strategy)
    for number, event in enumerate(EVENTS):
        crops = tuple(group.astype(np.float32) for group in random_crops(config, 16, seed=number))
        if event == "an infinite pixel":
            crops[0][-1, 0, 3, 3, 1] = np.inf
        elif event == "black images":
            for group in crops:
                group[8:] = 0  # a black image has a NaN as derivative by the gain
        state.loss_scale.value.assign(2.0**40 if event == "an enormous loss scale" else 2.0**10)
        metrics = step(shared_out(crops, strategy))
        after = copies(state, strategy)
        first_bad = int(strategy.experimental_local_results(metrics["first_bad"])[0])
        reports.append(
            {
                "bad": checked_tensors(state)[first_bad] if first_bad >= 0 else "",
                "changed": [name for name in after if after[name] != before[name]],
                "loss_scale": float(state.loss_scale.value.numpy()),
                "skipped": [int(state.skipped.total.numpy()), int(state.skipped.in_a_row.numpy())],
                "equal": all(len(set(values)) == 1 for values in after.values()),
                "digest": hashlib.sha256(repr([values[0] for values in after.values()]).encode()).hexdigest(),
            }
        )
        before = after
    assert step.experimental_get_tracing_count() == 1
    return reports


def copies(state: TrainState, strategy: tf.distribute.Strategy) -> dict[str, list[bytes]]:
    """Returns the bytes of every variable's copy on each replica of this process, by name."""
    return {
        name: [copy.numpy().tobytes() for copy in strategy.experimental_local_results(variable)]
        for name, variable in state.named_variables().items()
    }
