"""The state of a run: every variable that a step changes has a name, and so a place in the checkpoint."""

import numpy as np

from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from tests.small_networks import random_crops, small_config, small_model


def test_every_variable_that_a_step_changes_is_named() -> None:
    config = small_config(
        "run.precision=mixed_float16",
        "swav.queue_length=16",
        "swav.freeze_prototypes_steps=0",
        "schedule.kind=constant_then_halve",
        "schedule.halving_window_steps=5",
        "schedule.warmup_steps=0",
    )
    state = TrainState(config, model=small_model(config, batch_norm=True))
    state.loss_scale.value.assign(8.0)
    queue, schedule, scale, skipped = state.queue, state.schedule, state.loss_scale, state.skipped
    assert queue is not None
    owned = [variable.value for variable in (*state.model.variables, *state.optimizer.variables)]
    owned += [state.step, queue.embeddings, queue.num_pushed, *schedule.variables.values()]
    owned += [scale.value, scale.good_steps, skipped.total, skipped.in_a_row]
    named = state.named_variables()
    assert {id(variable) for variable in named.values()} == {id(variable) for variable in owned}

    before = {name: variable.numpy() for name, variable in named.items()}
    assert train_step(state, random_crops(config, 16))["first_bad"] == -1
    changed = {name for name, variable in named.items() if not np.array_equal(variable, before[name])}
    # The loop counts the steps. The scale changes after many good steps, and the factor at the end of a window.
    still = {"step", "loss_scale/value", "schedule/factor", "schedule/lowest_mean"}
    assert named.keys() - changed == still | {"skipped_steps/total", "skipped_steps/in_a_row"}
