"""Results of a few training steps, for tests that compare runs which must be equal.

The runs differ in the number of replicas, processes or micro-batches.
"""

import numpy as np
import tensorflow as tf

from seer_tf.config import Config
from seer_tf.methods.swav.gradients import at_once, in_micro_batches
from seer_tf.methods.swav.state import TrainState
from seer_tf.methods.swav.step import train_step
from seer_tf.optimizers.lars import LARS
from seer_tf.training.moving_statistics import MovingStatistics
from seer_tf.training.step import reduce_contributions
from tests.small_networks import one_stage_model, random_crops, shared_out, small_config, small_model

NUM_IMAGES, NUM_STEPS = 8, 5
#: The gradient of a bias before batch norm is rounding noise. LARS scales the noise up, and the moving mean absorbs it.
NOISE = ("head/linear1/bias", "head/bn1/moving_mean")
#: Changes of the config. With each change, the results must be equal on any number of replicas.
VARIANTS = {
    "as it is": (),
    "with a queue": (f"swav.queue_length={2 * NUM_IMAGES}",),
    "with activation checkpointing": ("backbone.activation_checkpointing=block",),
    "in micro-batches": ("run.accumulation_steps=2",),
    "with plain SGD": ("schedule.peak_learning_rate=0.1",),
}


def equality_config(*assignments: str) -> Config:
    """Returns a config with two crop sizes, a head with batch norm, seven prototypes and a batch of eight images."""
    return small_config(
        "crops.sizes_px=16,8",
        "head.num_prototypes=7",
        "head.batch_norm=true",
        f"data.global_batch_size={NUM_IMAGES}",
        "swav.freeze_prototypes_steps=1",
        "schedule.warmup_steps=1",
        *assignments,
    )


def results_of(strategy: tf.distribute.Strategy, variant: str) -> dict[str, np.ndarray]:
    """Returns the `results` of a variant in float64.

    Args:
        strategy: Strategy that runs the steps.
        variant: One of `VARIANTS`.
    """
    config = equality_config("run.precision=float64", *VARIANTS[variant])
    return results(strategy, config, plain_sgd="SGD" in variant)[0]


def results(
    strategy: tf.distribute.Strategy,
    config: Config,
    *,
    batch_norm: bool = True,
    plain_sgd: bool = False,
    order: np.ndarray | None = None,
) -> tuple[dict[str, np.ndarray], list[tf.Operation]]:
    """Returns what the steps compute, and the operations of the traced step.

    Args:
        strategy: Strategy that runs the steps.
        config: Run configuration.
        batch_norm: Whether the network is a RegNetY; otherwise a network without batch norm.
        plain_sgd: Whether LARS scales and decays no variable.
        order: Order of the images in each batch; None keeps their own order.

    Returns:
        Arrays by name: codes, loss and reduced gradients of the first step, loss of the last step, and all variables
            after the last step. The second value is the list of operations.
    """
    with strategy.scope():
        synchronized = strategy.num_replicas_in_sync > 1
        model = one_stage_model(config, synchronized=synchronized) if batch_norm else small_model(config)
        state = TrainState(config, model=model)
        if plain_sgd:
            state.optimizer = LARS(state.schedule, exclude=(".*",))
            state.optimizer.build(model.trainable_variables)
    batches = [random_crops(config, NUM_IMAGES, seed) for seed in range(NUM_STEPS)]
    if order is not None:
        batches = [tuple(group[order] for group in batch) for batch in batches]
    first = tf.function(lambda crops: strategy.run(_first, args=(state, crops)), autograph=False)
    step = tf.function(lambda crops: strategy.run(train_step, args=(state, crops)), autograph=False)

    codes, loss, gradients = first(shared_out(batches[0], strategy))
    local = strategy.experimental_local_results
    found = {"codes": np.concatenate(local(codes), axis=1), "loss": local(loss)[0].numpy()}
    found |= {f"gradient/{path}": local(gradient)[0].numpy() for path, gradient in gradients.items()}
    for batch in batches:
        metrics = step(shared_out(batch, strategy))
        assert local(metrics["first_bad"])[0] == -1
    found["loss of the last step"] = local(metrics["loss"])[0].numpy()
    found |= {name: variable.numpy() for name, variable in state.named_variables().items()}
    return found, step.get_concrete_function(shared_out(batches[0], strategy)).graph.get_operations()


def _first(state: TrainState, crops: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    statistics = MovingStatistics(state.model)
    own = (at_once if state.config.run.accumulation_steps == 1 else in_micro_batches)(state, crops, statistics)
    loss, gradients, _ = reduce_contributions(state, own, statistics)
    statistics.restore()
    paths = [variable.path for variable in state.model.trainable_variables]
    return own.codes, loss, dict(zip(paths, gradients, strict=True))


def distances(actual: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> dict[str, float]:
    """Returns the relative distance of each tensor, without the tensors in `NOISE`.

    The distance is the norm of the difference divided by the norm of the expected tensor.
    """
    assert actual.keys() == expected.keys()
    return {
        name: float(np.linalg.norm(actual[name] - value) / (np.linalg.norm(value) or 1))
        for name, value in expected.items()
        if not name.endswith(NOISE)
    }
